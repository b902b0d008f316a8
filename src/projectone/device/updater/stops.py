"""Models that the server stopped or went back from: in use they stay until another one comes; nobody goes back to them.

Both are noted only from what was signed. Inside `Installed.changing`.
"""

from __future__ import annotations

import contextlib

from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import RolloutState
from projectone.device.installed import Installed
from projectone.errors import ArtifactError, ContractError

SERVER_STOPPED = "the server stopped it"
SERVER_WENT_BACK = "the server went back from it"


def note_way_back(installed: Installed, manifest: ReleaseManifest) -> None:
    """A new release with the weights of a model before the one in use takes that one back.

    The server does not say so in so many words; a device that never had the earlier model cannot know.
    """
    state = installed.state()
    if state.current is None or state.previous is None or state.previous.seq >= state.current.seq:
        return
    with contextlib.suppress(ArtifactError):  # a damaged model is compared with nothing
        before, now = installed.manifest_of(state.previous), installed.manifest_of(state.current)
        if before.weights_sha256 == manifest.weights_sha256 != now.weights_sha256:
            installed.stop(state.current, SERVER_WENT_BACK)


def note_stopped(installed: Installed, rollout: bytes | None) -> None:
    """Whether the server stopped a model that is here, by what it signed about how far that one has gone."""
    try:
        known = None if rollout is None else RolloutState.from_bytes(rollout)
    except ContractError:  # of a server that is newer than this app
        return
    if known is None or known.reason == "replaced":
        return
    state = installed.state()
    for slot in (state.current, state.previous):
        if slot is not None and slot.seq == known.seq:
            if known.is_halted:
                installed.stop(slot, SERVER_STOPPED)
            else:
                installed.unstop(slot, SERVER_STOPPED)
