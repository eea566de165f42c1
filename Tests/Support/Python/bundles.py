"""Plugins of somebody else: packed, signed and installed by the command line."""

import json
import subprocess
from pathlib import Path

from rostrum import ROOT, binaries, eventually

EXAMPLE = ROOT / "SDK" / "Examples" / "python" / "bundle"


def command(host, *arguments, code=0):
    done = subprocess.run(
        [str(binaries() / "rostrum"), "plugin", *map(str, arguments), "--json"],
        env=host.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
    )
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def install(host, folder, manifest, program):
    """Packs, signs and installs a plugin that is one Python file, and waits until the host runs it."""
    name = f"{manifest['id']}-{manifest['version']}"
    source = Path(folder) / name
    source.mkdir()
    (source / "manifest.json").write_text(json.dumps(manifest))
    (source / "adapter.py").write_text(program)
    (source / "adapter.py").chmod(0o755)
    bundle = Path(folder) / f"{name}.rostrum-plugin"
    command(host, "pack", source, "--out", bundle)
    command(host, "sign", bundle, "--key", Path(folder) / "publisher.key", "--new-key")
    command(host, "install", bundle, "--yes")
    eventually(lambda: row(host, manifest["id"]).get("version") == manifest["version"], 30, "the plugin is known")
    return bundle


def row(host, name):
    return next((row for row in host.http.get("/api/plugins") if row["id"] == name), {})
