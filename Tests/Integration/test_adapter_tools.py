"""`rostrum plugin new|dev|conformance|record|replay`: the tools for people who write adapters, as they use them."""

import json
import os
import signal
import subprocess
import threading

import pytest
from rostrum import ROOT, binaries, eventually

EXAMPLE = ROOT / "SDK" / "Examples" / "python" / "bundle"


def run(*words, folder=None, status=0):
    done = subprocess.run(
        [binaries() / "rostrum", "plugin", *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout + done.stderr


@pytest.fixture
def adapter(tmp_path):
    run("new", "mine", "--language", "python", folder=tmp_path)
    return tmp_path / "mine"


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_new_refuses_what_it_cannot_make(tmp_path):
    assert "swift, python, c" in run("new", "mine", "--language", "cobol", folder=tmp_path, status=2)
    assert "inner hyphens" in run("new", "Mine!", "--language", "c", folder=tmp_path, status=2)
    (tmp_path / "mine").mkdir()
    assert "exists already" in run("new", "mine", "--language", "c", folder=tmp_path, status=1)


def test_new_writes_the_example_under_another_name(adapter):
    program = (adapter / "bundle" / "adapter.py").read_text()
    assert program.replace('"mine"', '"example-python"') == (EXAMPLE / "adapter.py").read_text()
    assert os.access(adapter / "bundle" / "adapter.py", os.X_OK)
    manifest = json.loads((adapter / "bundle" / "manifest.json").read_text())
    assert (manifest["id"], manifest["name"]) == ("mine", "Mine")


def test_a_fault_is_named_and_ends_with_1(adapter):
    change(adapter / "bundle" / "adapter.py", 'step="note"', 'step="note-" + os.urandom(4).hex()')
    report = adapter / "report.json"
    text = run("conformance", "bundle", "--only", "publish", "--report", report, folder=adapter, status=1)
    assert "publish.replay" in text and "mine 1.0.0 does not conform" in text
    checks = {check["id"]: check for check in json.loads(report.read_text())["checks"]}
    assert checks["publish.replay"]["outcome"] == "failed" and checks["publish.kinds"]["outcome"] == "passed"
    run("conformance", "bundle", "--only", "no-such-check", folder=adapter, status=2)
    run("conformance", "nowhere", folder=adapter, status=3)


def test_a_cassette_tells_what_changed(adapter):
    run("record", "bundle", "cassette", folder=adapter)
    lines = [json.loads(line) for line in (adapter / "cassette").read_text().splitlines()]
    assert lines[0]["plugin"] == "mine"
    assert {line["to"] for line in lines[1:]} == {"adapter", "host"}
    assert "authorization" not in (adapter / "cassette").read_text().lower()
    run("replay", "bundle", "cassette", folder=adapter)
    change(adapter / "bundle" / "adapter.py", '"limit": TEXT_LIMIT, "unit"', '"limit": 299, "unit"')
    assert "in the cassette" in run("replay", "bundle", "cassette", folder=adapter, status=1)
    change(adapter / "bundle" / "adapter.py", 'step="note"', 'step="other"')
    assert "did not ask for host/http" in run("replay", "bundle", "cassette", folder=adapter, status=1)
    (adapter / "cassette").write_text("{}\n")
    assert "is no cassette" in run("replay", "bundle", "cassette", folder=adapter, status=1)


def test_dev_publishes_again_when_a_file_changes(adapter):
    process = subprocess.Popen(
        [binaries() / "rostrum", "plugin", "dev", "bundle", "--json"],
        cwd=adapter, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    lines = []
    # Lines are looked at while they come, so they are appended one by one.
    reader = threading.Thread(target=lambda: [lines.append(json.loads(line)) for line in process.stdout], daemon=True)
    reader.start()
    def rounds():
        return [line for line in lines if line["what"] == "initialize"]
    try:
        eventually(lambda: len([x for x in lines if "300 characters" in x["what"]]) == 2, 60, "a whole first round")
        assert all(line["good"] for line in lines), lines
        change(adapter / "bundle" / "adapter.py", '"1.0.0", 300', '"1.0.1", 300')
        eventually(lambda: len(rounds()) == 2, 60, "a second round")
        assert "1.0.1" in rounds()[1]["detail"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    reader.join(20)
