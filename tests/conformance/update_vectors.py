"""Writes the attacks of `update_attacks` as JSON: one file a vector, and the bytes that they share.

    python -m tests.conformance.update_vectors --write

Read a vector so: begin a device with `device` (its root, what it follows), let it visit each of `earlier` (all are
believed), then let it visit `files` at `clock`. A path in `files` leads to a name in `pool.json`, whose bytes are
`text` in UTF-8 or `base64`;
or to `repeat`, a text that is sent again and again, so many bytes of it, `after` other bytes if any are named.
"""

from __future__ import annotations

import base64
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.conformance.update_attacks import all_vectors
from tests.conformance.update_cases import Vector

from projectone.contracts.base import sha256_hex

FOLDER = Path(__file__).parent / "vectors" / "updates"


@cache
def made() -> dict[str, str]:
    """Every file, by its path below `FOLDER`."""
    pool: dict[str, dict[str, str]] = {}
    files = {f"{vector.attack}/{vector.name}.json": _text(_document(vector, pool)) for vector in all_vectors()}
    return files | {"pool.json": _text(pool)}


def _document(vector: Vector, pool: dict[str, dict[str, str]]) -> dict[str, Any]:
    device = {"channel": "stable", "tier": "float16", "runtime": "0.1.0", "root": _kept(vector.root, pool)}
    return {
        "name": vector.name,
        "attack": vector.attack,
        "device": device,
        "earlier": [
            {"clock": clock.isoformat(), "files": {path: _kept(content, pool) for path, content in files.items()}}
            for clock, files in vector.earlier
        ],
        "clock": vector.clock.isoformat(),
        "files": {path: _kept(content, pool) for path, content in vector.files.items()},
        "expected": {
            "verdict": vector.expected,
            "seq": _seq_after(vector),
        },
    }


def _seq_after(vector: Vector) -> int:
    """What is installed in the end; nothing, where a device that has nothing refuses."""
    return vector.seq if vector.earlier or vector.expected == "accepted" else 0


def _kept(content: Any, pool: dict[str, dict[str, str]]) -> Any:
    if isinstance(content, dict):
        return content | ({"after": _kept(content["after"], pool)} if "after" in content else {})
    name = sha256_hex(content)
    try:
        pool[name] = {"text": content.decode()}
    except UnicodeDecodeError:
        pool[name] = {"base64": base64.b64encode(content).decode()}
    return name


def _text(document: Any) -> str:
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write what is not there yet, and remove what no longer belongs."""
    for path, content in made().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(content)
    for there in FOLDER.rglob("*.json"):
        if str(there.relative_to(FOLDER)) not in made():
            there.unlink()


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    main()
