"""Who signs what of the releases' metadata, and for how long: the roles of The Update Framework, as used here.

Source: the TUF specification 1.0, section 2.1; the lives are our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

OnlineRole = Literal["targets", "rollout", "snapshot", "timestamp"]
ONLINE_ROLES: Final[tuple[OnlineRole, ...]] = ("targets", "rollout", "snapshot", "timestamp")

TOP_ROLES: Final[tuple[OnlineRole, ...]] = ("targets", "snapshot", "timestamp")
"""Those whose keys the root names; the rollout's key is named by the targets."""

N_ROOT_KEYS: Final = 3
ROOT_THRESHOLD: Final = 2
ROLLOUT_PATHS: Final = "*/rollout.json"
"""What the rollout's key may sign: how much of a channel gets a release, and never which release that is."""


SIGNED: Final = "tuf"
"""Below the home: what devices read. Holds nothing secret; any static file server could hand it out."""

FIRST_ROOT: Final = f"{SIGNED}/metadata/1.root.json"
CURRENT: Final = f"{SIGNED}/metadata/timestamp.json"

ROLE_KEYS: Final = "releases"
"""Below the folder of keys."""

ROOT_KEYS: Final = "root-offline"
"""Below that one: where `init` leaves the root's keys, for the operator to take away."""


@dataclass(frozen=True, kw_only=True)
class Lifetimes:
    """How long what a role signs is believed; each is signed again in time."""

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=90)
    rollout: timedelta = timedelta(days=7)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(hours=24)

    def of(self, role: str) -> timedelta:
        """The life of what `role` signs."""
        life: timedelta = getattr(self, role)
        return life

    def renewed_below(self, role: str) -> timedelta:
        """With less than this left it is signed again: the timestamp after a quarter of its life, others after half."""
        return self.of(role) * (0.75 if role == "timestamp" else 0.5)
