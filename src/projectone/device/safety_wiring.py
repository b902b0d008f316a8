"""Joins the safety classifier of a device, where it has one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from projectone.device.settings import DeviceSettings
from projectone.errors import SettingsError

if TYPE_CHECKING:
    from projectone.assist.safety import SafetyGuard


def flags(settings: DeviceSettings) -> Callable[[str], bool] | None:
    """Whether a text raises the alarm; None where no safety classifier is named. It is read when it is first asked.

    Raises:
        SettingsError: if there is no classifier in the folder. One that cannot be read raises `ArtifactError` when it
            is asked: nothing is answered unread.
    """
    folder = settings.safety_model
    if folder is None:
        return None
    if not (folder / "classifier.json").is_file():
        raise SettingsError(f"PROJECTONE_SAFETY_MODEL: expected the folder of a classifier, got {str(folder)!r}")
    lock = threading.Lock()
    guard: SafetyGuard | None = None

    def flagged(text: str) -> bool:
        nonlocal guard
        with lock:
            if guard is None:
                # Imported where it is asked for: it loads a BLAS.
                from projectone.assist.safety import load_safety

                guard = load_safety(folder, numerics=settings.numerics)
        return guard.flags(text)

    return flagged
