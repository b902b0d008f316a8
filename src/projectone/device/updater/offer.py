"""What an update would bring, said before anything is fetched: every word of it from what was signed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from projectone.contracts.base import Contract, Moment
from projectone.contracts.releases import NotedRelease, ReleaseUpdate
from projectone.device.installed import Installed
from projectone.device.updater.download import Wanted
from projectone.device.updater.room import Room
from projectone.device.updater.ways import base_of, short, ways_to, whole

OfferStatus = Literal["offered", "here", "current", "waiting", "halted", "set-aside", "no-release", "unsupported"]
"""An update would fetch it now; it was fetched and waits for its trial; the model in use is the newest; it is not this
device's turn; the server stopped it; it is not wanted here; there is none at all; it needs a newer app."""

FetchedAs = Literal["adapter", "delta", "package"]


class Cost(Contract):
    """What it takes to have a release.

    Attributes:
        fetched_as: An adapter for a base, a difference from a model that is here, or the whole model.
        has_to_fetch_base: The base of the adapter comes too; later ones need it no more.
        missing_bytes: What is still to be fetched.
        all_bytes: Of so many; the rest came before and was kept.
        disk_bytes: What its files take.
        lacks: Why there is no room for it, in plain words; None if there is.
    """

    fetched_as: FetchedAs
    has_to_fetch_base: bool = False
    missing_bytes: int = Field(ge=0)
    all_bytes: int = Field(ge=0)
    disk_bytes: int = Field(ge=0)
    lacks: str | None = None


class Offer(Contract):
    """The newest release, as it stands with this device.

    Attributes:
        from_version: The model in use.
        release: What was signed of the newest one, with what is new in it; None where none was listed, and where it
            was not read because it is for a newer app.
        reason: Why it is not to be had now, where it is not.
        cost: What it takes; None for what is here, or is not to be had.
        percent: How far it has gone, of all devices; None where it does not go out in stages.
        not_before: The first moment at which the signed plan lets this device have it, if its turn has not come.
        is_repair: It is the model in use, whose files here are damaged.
    """

    status: OfferStatus
    from_version: str | None = None
    release: NotedRelease | None = None
    reason: str | None = None
    cost: Cost | None = None
    percent: float | None = None
    not_before: Moment | None = None
    is_repair: bool = False


def cost_of(release: NotedRelease, installed: Installed, room: Room, missing_bytes: Callable[[Wanted], int]) -> Cost:
    """What it takes to have a release here: by the shortest way that there is room for, as an update goes.

    Args:
        release: The release.
        installed: The models that are here.
        room: The disk.
        missing_bytes: How much of a file is still to be fetched.
    """
    files = sum(file.size_bytes for file in release.files)

    def has_base(way: ReleaseUpdate) -> bool:
        return installed.file_of(way.path, way.base_sha256) is not None

    def priced(as_what: FetchedAs, wanted: list[Wanted]) -> Cost:
        missing = sum(map(missing_bytes, wanted))
        # Whoever fetches a base has it and what is made from it.
        lacks = room.lacks(missing + len(wanted) * files)
        return Cost(
            fetched_as=as_what,
            has_to_fetch_base=len(wanted) > 1,
            missing_bytes=missing,
            all_bytes=sum(file.size_bytes for file in wanted),
            disk_bytes=len(wanted) * files,
            lacks=None if lacks is None else str(lacks),
        )

    for way in ways_to(release, has_base):
        base = [] if has_base(way) or way.base_package is None else [base_of(way.base_package)]
        cost = priced(way.kind, [*base, short(way)])
        if cost.lacks is None:
            return cost
    return priced("package", [whole(release)])
