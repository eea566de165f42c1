#!/usr/bin/env python3
"""Writes the examples into SDK/PluginTestKit/Templates, from where `rostrum plugin new` takes them.

What the examples share lies in `shared`, once: the examples link to it, or where a word differs between the languages
(`@word@`) this program writes their file. With --check it only compares, and ends with 1 when a file is not fresh.
"""
import pathlib, sys

EXAMPLES = pathlib.Path(__file__).parent
TEMPLATES = EXAMPLES.parent / "PluginTestKit" / "Templates"
# Files of the same text in every example that has them, and the constant that holds the text.
SHARED = {
    "bundle/manifest.json": "manifest", "bundle/README.md": "readMe", "conformance.json": "cases",
    "test_adapter.py": "processTests",
}
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
WORDS = {
    "swift": {"language": "Swift", "executable": "plugin-@id@", "runtime": ""},
    "python": {
        "language": "Python", "executable": "adapter.py",
        "runtime": '\n  "runtime": { "interpreter": "/usr/bin/python3", "readPaths": ["/usr/lib"] },',
    },
    "c": {"language": "C", "executable": "adapter", "runtime": ""},
}
HEAD = ["// swift-format-ignore-file", "// Made of SDK/Examples by make-templates.py; change the example, not this file."]


def literal(path):
    text = (EXAMPLES / path).read_text()
    assert '"""##' not in text and text.endswith("\n")
    return '##"""\n' + text + '\n"""##'


def shared():
    lines = HEAD + ["", "extension AdapterTemplate {"]
    for path, name in SHARED.items():
        lines += [f"  /// The text of `{path}`.", f"  static let {name} = {literal('shared/' + path)}", ""]
    return "\n".join(lines[:-1] + ["}", ""])


def template(language):
    words = ", ".join(f'"@{name}@": {quoted(word)}' for name, word in WORDS[language].items())
    lines = HEAD + [
        "",
        "extension AdapterTemplate {",
        "  /// What stands for the words in the shared files.",
        f"  static let {language}Words = [{words}]",
        "",
        f"  /// The example in SDK/Examples/{language}.",
        f"  static let {language}Files: [(path: String, text: String)] = [",
    ]
    for path in FILES[language]:
        if path in SHARED:
            lines.append(f'    ("{path}", {SHARED[path]}),')
        else:
            lines += ["    (", f'      "{path}",', literal(f"{language}/{path}"), "    ),"]
    return "\n".join(lines + ["  ]", "}", ""])


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def filled(language, path):
    text = (EXAMPLES / "shared" / path).read_text()
    own = {"id": f"example-{language}", "name": f"Microblog ({WORDS[language]['language']})"}
    for name, word in {**WORDS[language], **own}.items():
        text = text.replace(f"@{name}@", word)
    return text


def outputs():
    yield TEMPLATES / "AdapterTemplate+Shared.swift", shared()
    for language, paths in FILES.items():
        yield TEMPLATES / f"AdapterTemplate+{language.capitalize()}.swift", template(language)
        for path in paths:
            # A link to the shared file is fresh by itself, and writing through it would change the shared file.
            if path in SHARED and not (EXAMPLES / language / path).is_symlink():
                yield EXAMPLES / language / path, filled(language, path)


def main():
    stale = []
    for path, text in outputs():
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(EXAMPLES.parent)))
        if "--check" not in sys.argv:
            path.write_text(text)
    if stale and "--check" in sys.argv:
        print(f"not what the examples say: {', '.join(stale)}; run SDK/Examples/make-templates.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
