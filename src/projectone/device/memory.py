"""How much memory is free on this machine, and whether a second model fits into it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

# Half-precision weights become float32 where there is no other arithmetic, and a decode needs its own space.
_BYTES_PER_STORED: Final = 2.5
_SPARE_BYTES: Final = 200_000_000

_LIMITS = (
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
    (
        "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available_bytes(root: Path = Path("/")) -> int | None:
    """What may still be taken without pushing others out, by the kernel or by this process' limit; None if unknown."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _text(root / "proc/meminfo"), re.MULTILINE)
    left = [int(found[1]) * 1024] if found is not None else []
    for limit, usage in _LIMITS:
        most, used = _text(root / limit).strip(), _text(root / usage).strip()
        if most.isdigit() and used.isdigit():
            left.append(max(0, int(most) - int(used)))
    return min(left) if left else None


def has_room_for(folder: Path, root: Path = Path("/")) -> bool:
    """Whether a model fits into memory beside what is there; where nobody says, yes."""
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    available = available_bytes(root)
    return available is None or available >= stored * _BYTES_PER_STORED + _SPARE_BYTES


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
