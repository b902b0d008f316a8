"""The models on this device: immutable folders, and one small file that says which of them counts.

<folder>/releases/<seq>[.<n>]/   one model: the release's files and `manifest.json`; never changed after it appears
<folder>/releases/.tmp-*         a folder being filled; removed at start
<folder>/bases/<digest>/         what releases are made from, as long as one that is here names it
<folder>/state.json              current, previous, trial, tries, floor: the one commit point
<folder>/update.lock             held by whoever installs or tries a model
"""

from __future__ import annotations

from projectone.device.installed.folders import Installed, Outcome
from projectone.device.installed.state import CRASH_LOOP, USER_WENT_BACK, InstallState, SetAside, Slot

__all__ = ["CRASH_LOOP", "USER_WENT_BACK", "InstallState", "Installed", "Outcome", "SetAside", "Slot"]
