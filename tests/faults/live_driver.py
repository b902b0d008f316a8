"""`live_driver.py FOLDER DEFENCE` keeps pieces of sound, and says of each that it is kept, until it is killed."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from projectone.device.live.spool import Spool, Spools

PIECE_BYTES = 640  # 20 ms: the smallest that a microphone gives


def piece_at(offset: int) -> bytes:
    """Sound that is different everywhere."""
    return b"".join(((offset + index) // 2 % 65521).to_bytes(2, "little") for index in range(0, PIECE_BYTES, 2))


def main() -> None:
    """Keep pieces for ever."""
    folder, defence = sys.argv[1:]
    if defence == "kept in memory":
        held = bytearray()

        def held_back(descriptor: int, content: bytes, offset: int) -> int:
            held[offset : offset + len(content)] = content
            return len(content)

        for kind, name, other in (
            (os, "pwrite", held_back),
            (Spool, "read", lambda self, first, end: bytes(held[first:end])),
            (Spool, "sync", lambda self: None),
        ):
            setattr(kind, name, other)
    spool = Spools(Path(folder)).begin(datetime.now(UTC))
    while True:
        spool.append(spool.n_bytes, piece_at(spool.n_bytes))
        print(spool.n_bytes, flush=True)


if __name__ == "__main__":
    main()
