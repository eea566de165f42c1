#!/usr/bin/env python3
"""Writes the examples into SDK/PluginTestKit/Templates, from where `rostrum plugin new` takes them.

With --check it only compares, and ends with 1 when a template is not what its example says.
"""
import pathlib, sys

EXAMPLES = pathlib.Path(__file__).parent
TEMPLATES = EXAMPLES.parent / "PluginTestKit" / "Templates"
FILES = {
    "swift": [
        "Package.swift", "Makefile", ".gitignore", "Sources/Adapter/MicroblogAdapter.swift",
        "Sources/plugin-example-swift/main.swift", "Tests/AdapterTests/MicroblogAdapterTests.swift",
        "bundle/manifest.json", "bundle/README.md", "conformance.json",
    ],
    "python": ["bundle/adapter.py", "test_adapter.py", "bundle/manifest.json", "bundle/README.md", "conformance.json"],
    "c": [
        "adapter.c", "Makefile", ".gitignore", "test_adapter.py", "bundle/manifest.json", "bundle/README.md",
        "conformance.json",
    ],
}


def template(language):
    lines = [
        "// swift-format-ignore-file",
        "// Made of SDK/Examples by make-templates.py; change the example, not this file.",
        "",
        "extension AdapterTemplate {",
        f"  /// The example in SDK/Examples/{language}.",
        f"  static let {language}Files: [(path: String, text: String)] = [",
    ]
    for path in FILES[language]:
        text = (EXAMPLES / language / path).read_text()
        assert '"""##' not in text and text.endswith("\n")
        lines += ["    (", f'      "{path}",', '##"""', text + '\n"""##', "    ),"]
    return "\n".join(lines + ["  ]", "}", ""])


def main():
    stale = []
    for language in FILES:
        path = TEMPLATES / f"AdapterTemplate+{language.capitalize()}.swift"
        text = template(language)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.name)
        if "--check" not in sys.argv:
            path.write_text(text)
    if stale and "--check" in sys.argv:
        print(f"not what the examples say: {', '.join(stale)}; run SDK/Examples/make-templates.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
