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
        self._staging.mkdir(parents=True, exist_ok=True)
        self._check_budget(needed_bytes)
        free_bytes = shutil.disk_usage(self._staging).free
        if free_bytes < needed_bytes + _SPARE_BYTES:
            raise StorageError(
                f"the update needs {(needed_bytes + _SPARE_BYTES) / 1e6:.0f} MB of disk space, "
                f"there are {free_bytes / 1e6:.0f} MB: free some and run it again"
            )

    def used_bytes(self) -> int:
        """What models, bases and what is on its way take now, and the models of other families."""
        staged = self._staging.iterdir() if self._staging.is_dir() else ()
        return self._beside() + self._installed.used_bytes() + sum(path.stat().st_size for path in staged)

    def _check_budget(self, needed_bytes: int) -> None:
        budget = self._budget_bytes
        if budget is None:
            return
        state = self._installed.state()
        # A model to go back to makes room, if that is enough and the one in use is whole.
        if self.used_bytes() + needed_bytes > budget and state.current is not None and state.previous is not None:
            freed = self._installed.size_of(state.previous)
            is_enough = self.used_bytes() - freed + needed_bytes <= budget
            if is_enough and self._installed.damage(state.current) is None:
                self._installed.let_go_of_previous()
        used = self.used_bytes()
        if used + needed_bytes > budget:
            raise OverBudgetError(
                f"the update needs {_mb(needed_bytes)} MB beside the {_mb(used)} MB that models take here, and "
                f"PROJECTONE_MODEL_BUDGET_MB allows {_mb(budget)} MB: set it to {_mb(used + needed_bytes)} or more"
            )


def _mb(n_bytes: int) -> int:
    return math.ceil(n_bytes / 1e6)
