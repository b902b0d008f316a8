"""What is installed is what the locks name, and anybody can read what that is."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

LOCKS = [f"requirements{name}.lock" for name in ("", "-dev", "-weights", "-ray", "-audit")]


def a_wheel(folder: Path, body: str = "") -> Path:
    """A package `planted` 1.0 with one module, as pip takes it."""
    files = {
        "planted.py": body,
        "planted-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n",
        "planted-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "planted-1.0.dist-info/RECORD"
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        for name, text in files.items()
    ]
    wheel = folder / "planted-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, record: "\n".join([*rows, f"{record},,"])}.items():
            archive.writestr(name, text)
    return wheel


def install(folder: Path, lock: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What pip makes of a lock, with the flags of the Makefile and no other source than the folder."""
    (folder / "planted.lock").write_text(lock)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--find-links", str(folder), "--target", str(folder / "site"), *options]
    return subprocess.run([*command, "-r", str(folder / "planted.lock")], capture_output=True, text=True)


def test_the_set_up_stops_at_a_file_that_has_another_digest_than_the_lock(tmp_path: Path) -> None:
    pinned = hashlib.sha256(a_wheel(tmp_path).read_bytes()).hexdigest()
    lock = f"planted==1.0 --hash=sha256:{pinned}\n"
    assert install(tmp_path, lock, "--require-hashes").returncode == 0
    a_wheel(tmp_path, "print('somebody else was here')")
    refused = install(tmp_path, lock, "--require-hashes", "--upgrade")
    assert refused.returncode != 0 and "DO NOT MATCH THE HASHES" in refused.stderr
    assert (tmp_path / "site" / "planted.py").read_text() == ""


def test_without_digests_the_planted_file_is_installed(tmp_path: Path) -> None:
    """The control run; a lock without a digest is refused where they are required."""
    a_wheel(tmp_path, "print('somebody else was here')")
    assert install(tmp_path, "planted==1.0\n").returncode == 0
    assert "somebody" in (tmp_path / "site" / "planted.py").read_text()
    assert install(tmp_path, "planted==1.0\n", "--require-hashes").returncode != 0


def test_each_set_up_of_a_hashed_lock_requires_the_hashes() -> None:
    for line in (REPOSITORY / "Makefile").read_text().splitlines():
        if "pip install" in line and any(lock in line for lock in LOCKS):
            assert "--require-hashes" in line, line


@pytest.mark.parametrize("part", ["purl", "hashes"])
def test_the_bill_of_materials_names_every_pin_and_every_file_of_the_lock(part: str) -> None:
    bill = json.loads((REPOSITORY / "docs" / "sbom.cdx.json").read_text())
    lock = (REPOSITORY / "requirements.lock").read_text()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    if part == "purl":
        pins = re.findall(r"^([a-z0-9][^=\[]*)(?:\[.*\])?==([^ ;\\]+)", lock, re.MULTILINE)
        assert len(pins) > 80
        assert [one["purl"] for one in bill["components"]] == [f"pkg:pypi/{name}@{version}" for name, version in pins]
        assert len({one["bom-ref"] for one in bill["components"]}) == len(pins)
    else:
        listed = [digest["content"] for one in bill["components"] for digest in one["hashes"]]
        assert listed == re.findall(r"--hash=sha256:([0-9a-f]{64})", lock)
