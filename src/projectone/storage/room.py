"""Whether a disk has room for what others send: part of it stays free for what must be written even then."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# A tenth of a large disk is more than withdrawals, rows and a training run can need.
_ALWAYS_ENOUGH_BYTES = 10 * 10**9


def _usage(folder: Path) -> tuple[int, int, int]:
    return shutil.disk_usage(folder)


@dataclass(frozen=True)
class DiskRoom:
    """A watermark: uploads stop while withdrawals, rows and models can still be written.

    Attributes:
        folder: A folder on the disk.
        min_free_share: Fraction of the disk that stays free; 10 GB are enough in any case, 0 switches it off.
        usage: Bytes in all, used and free.
    """

    folder: Path
    min_free_share: float = 0.1
    usage: Callable[[Path], tuple[int, int, int]] = _usage

    def missing_bytes(self) -> int:
        """How many bytes must become free before anything large is taken in; 0 if there is room.

        Raises:
            OSError: if the disk does not say.
        """
        total, _, free = self.usage(self.folder)
        return max(0, int(min(self.min_free_share * total, _ALWAYS_ENOUGH_BYTES)) - free)
