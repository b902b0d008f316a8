"""Room on the disk for an update: what is free, and what the user allows for models. Asked before a byte is fetched."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

from projectone.device.installed import Installed
from projectone.errors import StorageError

_SPARE_BYTES = 32 * 1024 * 1024


class OverBudgetError(StorageError):
    """There is no room for the update within what the user allows for models. Allow more, or keep the model in use."""


class Room:
    """The disk, as far as models may use it."""

    def __init__(
        self,
        staging: Path,
        installed: Installed,
        budget_bytes: int | None,
        beside: Callable[[], int] = lambda: 0,
    ) -> None:
        """Look at two folders.

        Args:
            staging: What is on its way.
            installed: Models and their bases.
            budget_bytes: What all models may take together; None for no limit.
            beside: What the models of other families take.
        """
        self._staging = staging
        self._installed = installed
        self._budget_bytes = budget_bytes
        self._beside = beside

    def check(self, needed_bytes: int) -> None:
        """Refuse what would not fit.

        Raises:
            OverBudgetError: if the user does not allow so much for models.
            StorageError: if the disk has too little room.
        """
        if self._to_let_go_of(needed_bytes):
            self._installed.let_go_of_previous()
        lacks = self.lacks(needed_bytes)
        if lacks is not None:
            raise lacks

    def lacks(self, needed_bytes: int) -> StorageError | None:
        """What `check` would raise; nothing is let go of for that."""
        self._staging.mkdir(parents=True, exist_ok=True)
        freed = self._to_let_go_of(needed_bytes)
        used, budget = self.used_bytes() - freed, self._budget_bytes
        if budget is not None and used + needed_bytes > budget:
            return OverBudgetError(
                f"the update needs {_mb(needed_bytes)} MB beside the {_mb(used)} MB that models take here, and "
                f"PROJECTONE_MODEL_BUDGET_MB allows {_mb(budget)} MB: set it to {_mb(used + needed_bytes)} or more"
            )
        free_bytes = shutil.disk_usage(self._staging).free + freed
        if free_bytes < needed_bytes + _SPARE_BYTES:
            return StorageError(
                f"the update needs {(needed_bytes + _SPARE_BYTES) / 1e6:.0f} MB of disk space, "
                f"there are {free_bytes / 1e6:.0f} MB: free some and run it again"
            )
        return None

    def used_bytes(self) -> int:
        """What models, bases and what is on its way take now, and the models of other families."""
        staged = self._staging.iterdir() if self._staging.is_dir() else ()
        return self._beside() + self._installed.used_bytes() + sum(path.stat().st_size for path in staged)

    def _to_let_go_of(self, needed_bytes: int) -> int:
        """What a model to go back to takes that makes room; 0 if that is not needed, or is not enough."""
        budget, state = self._budget_bytes, self._installed.state()
        if budget is None or state.current is None or state.previous is None:
            return 0
        used = self.used_bytes()
        freed = self._installed.size_of(state.previous)
        is_enough = used + needed_bytes > budget >= used - freed + needed_bytes
        # Only if the one in use is whole.
        return freed if is_enough and self._installed.damage(state.current) is None else 0


def _mb(n_bytes: int) -> int:
    return math.ceil(n_bytes / 1e6)
