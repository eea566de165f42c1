"""docs/writing-an-adapter.md, followed word for word on a machine that has only the built programs."""

import json
import os
import re
import shutil
import subprocess

import pytest
from rostrum import ROOT, binaries

PAGE = ROOT / "docs" / "writing-an-adapter.md"


def blocks():
    """The commands of the page in order; those marked as setup need a fresh clone and an hour."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def environment(home):
    found = {name: value for name, value in os.environ.items() if not name.startswith(("ROSTRUM_", "DATABASE_"))}
    return {
        **found,
        "HOME": str(home),
        "PATH": f"{binaries()}:/usr/bin:/bin:{os.environ['PATH']}",
        # The programs under test may lie outside of the clone.
        "ROSTRUM_MANIFESTS": str(ROOT / "plugin-manifests"),
    }


def own_network():
    """The page names ports; as root the test has them for itself, so that it meets no other test there."""
    if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip"):
        return ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']
    return []


@pytest.fixture
def home(tmp_path):
    # Interpreters and databases of other users must be able to come here.
    for folder in [tmp_path, *tmp_path.parents]:
        if str(folder).startswith("/tmp/") and folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


def test_the_tutorial_works_word_for_word(home):
    commands = blocks()
    assert len(commands) > 10
    # Whatever fails, nothing that was started may outlive the test.
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n" + "\n".join(commands)
    run = subprocess.run(
        [*own_network(), "bash", "-c", script], env=environment(home), capture_output=True, text=True, timeout=420
    )
    log = home / "adapters" / "my-blog" / "host.log"
    tail = log.read_text()[-3000:] if log.exists() else ""
    assert run.returncode == 0, f"{run.stdout[-4000:]}\n{run.stderr[-4000:]}\n{tail}"
    out = run.stdout
    assert "my-blog 1.0.0 conforms" in out and "0 failed" in out
    assert "as expected" in out and "my-blog 1.1.0 conforms" in out
    assert "The same as in the cassette" in out
    assert '"Hello from my own adapter."' in out
    frames = (home / "adapters" / "my-blog" / "frames").read_text()
    assert '"host/http"' in frames and "token-of-alice" not in frames + out + tail
    cassette = (home / "adapters" / "my-blog" / "my-blog.cassette").read_text()
    assert json.loads(cassette.splitlines()[0])["schema"] == "rostrum-cassette/1"


@pytest.mark.parametrize("language", ["python", "c"])
def test_new_adapters_conform_and_pass_their_tests(home, language):
    """The other languages of `rostrum plugin new`; Swift's, which takes minutes to build, in the long form."""
    build_and_judge(home, language)


@pytest.mark.skipif("ROSTRUM_LONG" not in os.environ, reason="builds a Swift package: long form only")
def test_a_new_swift_adapter_is_a_package_of_its_own(home):
    build_and_judge(home, "swift", "--sdk", str(ROOT))


def build_and_judge(home, language, *options):
    def run(*words, folder=home / "mine"):
        done = subprocess.run(words, cwd=folder, env=environment(home), capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    answer = json.loads(run("rostrum", "plugin", "new", "mine", "--language", language, "--json", *options, folder=home))
    if answer["build"]:
        run(*answer["build"].split())
    run(*(["python3", "-m", "unittest"] if language == "python" else ["make", "test"]))
    report = json.loads(run("rostrum", "plugin", "conformance", "bundle", "--json"))
    assert report["conformant"] and report["plugin"] == "mine"
    assert {check["outcome"] for check in report["checks"]} <= {"passed", "skipped"}
    assert report["passed"] > 50
