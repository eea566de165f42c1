# Rostrum. `make demo` shows the main job, `make test` proves it.
SHELL := /bin/bash
PYTHON_ENV := .build/python
SWIFT_FLAGS := --explicit-target-dependency-import-check error
RELEASE_FLAGS := -c release $(SWIFT_FLAGS)

.PHONY: demo test build release packages lint sanitize soak evidence bench bench-long bench-peers coverage clean help

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

packages: ## Install what is missing from Debian's packages (or say what to install)
	@.ci/packages

build: packages ## Debug build of everything
	swift build $(SWIFT_FLAGS)

release: packages ## Release build of host, plugins and sandbox
	swift build $(RELEASE_FLAGS)

demo: ## Publish one post for real, through every layer, and keep serving
	@.ci/demo

test: packages ## Everything a fresh machine can run
	@.ci/test

lint: ## Formatting and layout rules
	@git ls-files -z --cached --others --exclude-standard '*.swift' | xargs -0 swift format lint --strict --parallel

sanitize: packages ## The Swift tests under the thread and address sanitizers, long fuzzing too
	@.ci/sanitize

soak: release ## All long forms: faults, tutorial, fuzzing, models
	@.ci/test --long

evidence: packages ## The kill matrix and the network matrix; writes their tables to docs/evidence
	@.ci/test --evidence

bench: release ## One JSON object a line; ratios inside one run
	@.ci/bench

bench-long: release ## The lines of the benchmarks that take hours; they print their length
	@.ci/bench pinned bloat

bench-peers: ## The queue and the HTTP server beside others, in turns
	@.ci/bench-peers

coverage: packages ## Line coverage of the Swift tests by module
	@.ci/coverage

clean:
	swift package clean
