"""Ask a list of known vulnerabilities about every pin of every lock, and fail if it knows of one.

pip-audit leaves out what its own Python and system would not install. Here each pin is asked about without its
condition, so that a machine with Linux answers for a Mac, too; a name with two versions is asked about in two turns.

    .venv-audit/bin/python .ci/audit.py [options of pip-audit, such as --osv-url URL or --ignore-vuln ID]
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# They choose between builds of torch, and are compared with only: no digests, see docs/dependencies.md.
WITHOUT_DIGESTS = {"requirements-parity.lock", "requirements-peers.lock"}
# A pin, its condition, and its digests on the lines after it.
PIN = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)[^\\\n]*"
    r"((?:\\\n +--hash=sha256:[0-9a-f]{64} *)*)\n"
)


def main() -> int:
    """0 if the list was asked about every lock and knows of nothing, else 1."""
    locks = sorted(ROOT.glob("requirements*.lock"))
    hashed = [lock for lock in locks if lock.name not in WITHOUT_DIGESTS]
    has_failed = not locks
    for flag, files in (("--require-hashes", hashed), ("--no-deps", [lock for lock in locks if lock not in hashed])):
        for turn in turns([pin for file in files for pin in pins_of(file)]):
            has_failed |= asked(turn, flag) != 0  # a signal's is below 0
    if has_failed:
        print(
            "audit: failed. Either the list knows of a vulnerable pin, which stands above with the version that mends"
            " it (raise it with `make lock`), or it did not answer, or a pin has no digest, or there is no lock.",
            file=sys.stderr,
        )
    return int(has_failed)


def pins_of(lock: Path) -> list[tuple[str, str, str]]:
    """Name, version and digests of each pin; exits where a line is no pin."""
    text = re.sub(r"^ *#.*\n|^ *\n| +#.*$", "", lock.read_text(), flags=re.MULTILINE)
    found = list(PIN.finditer(text))
    if "".join(pin[0] for pin in found) != text:
        sys.exit(f"audit: {lock.name} has lines that are no pins, expected `name==version` and digests alone")
    return [(re.sub(r"[-_.]+", "-", pin[1]).lower(), pin[2], pin[3]) for pin in found]


def turns(pins: list[tuple[str, str, str]]) -> list[dict[str, tuple[str, str]]]:
    """The same pins, no name twice in a turn."""
    found: list[dict[str, tuple[str, str]]] = []
    for name, version, digests in pins:
        for turn in found:
            if turn.setdefault(name, (version, digests)) == (version, digests):
                break
        else:
            found.append({name: (version, digests)})
    return found


def asked(pins: dict[str, tuple[str, str]], flag: str) -> int:
    """What pip-audit exits with; it installs nothing and asks nobody else."""
    with tempfile.TemporaryDirectory() as folder:
        flat = Path(folder) / "pins.txt"
        flat.write_text("".join(f"{name}=={version} {digests}\n" for name, (version, digests) in pins.items()))
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--disable-pip", flag]
        command += ["--progress-spinner", "off", "--strict", "--requirement", str(flat), *sys.argv[1:]]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
