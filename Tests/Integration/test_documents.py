"""The documents: what they link to and what they name exists."""

import json
import re

import jsonschema
import pytest
from rostrum import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = ("Host", "SDK", "Plugins", "Tests")


def words():
    """Every word of the sources."""
    found = set()
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".swift", ".c", ".h", ".py"):
                found |= set(re.findall(r"\w+", path.read_text()))
    return found | set(re.findall(r"\w+", (ROOT / "Package.swift").read_text()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


# The examples' shared manifest is a form with names to fill in.
MANIFESTS = sorted(
    path
    for path in [*ROOT.glob("plugin-manifests/*.json"), *ROOT.glob("SDK/Examples/*/bundle/manifest.json")]
    if path.parts[-3] != "shared"
)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_manifests_fit_their_schema(manifest):
    schema = json.loads((ROOT / "SDK" / "Schemas" / "manifest-1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    text = json.loads(manifest.read_text())
    assert not [f"{error.json_path}: {error.message}" for error in validator.iter_errors(text)]
    assert list(validator.iter_errors({**text, "egres": []}))
    assert list(validator.iter_errors({**text, "egress": [{**text["egress"][0], "class": "write"}]}))


def test_the_catalogue_names_what_exists():
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / "modules.md").read_text(), flags=re.S)
    named = set(re.findall(r"`\.?([A-Za-z_]\w*)`", text))
    assert len(named) > 100
    assert not named - words()


def test_the_catalogue_has_every_module():
    """A module is a target of the package; its paragraph begins with its name in bold."""
    text = (ROOT / "docs" / "modules.md").read_text()
    bold = set(re.findall(r"\*\*([\w-]+)\*\*", text))
    package = (ROOT / "Package.swift").read_text()
    targets = set(re.findall(r'\b(?:module|system|plugin|executable)\(\s*(?:name: )?"([\w-]+)"', package))
    targets |= set(re.findall(r'\.executableTarget\(\s*name: "([\w-]+)"', package))
    assert len(targets) > 25
    assert not targets - bold
