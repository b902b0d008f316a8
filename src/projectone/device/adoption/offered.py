"""A newer release that was looked at and is not in use: what is kept of it, and how it is told.

What is kept was verified when it was looked at; whoever takes it is asked everything once more. It is kept for a day,
for as long as the server signs, so that no page shows as new what was stopped since.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from projectone.contracts.base import Contract, Moment
from projectone.contracts.texts import printable
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.adoption.news import news_of
from projectone.device.installed import Installed, InstallState
from projectone.device.updater import Cost, Offer
from projectone.errors import ArtifactError, ContractError
from projectone.storage.database import Database

_FACT: Final = "offered"
_KEPT_FOR: Final = timedelta(days=1)
_STAND: Final = ("offered", "waiting")


class Offered(Contract):
    """What a look found, and when."""

    schema_version: Literal[1] = 1
    looked_at: Moment
    offer: Offer

    @property
    def version(self) -> str | None:
        """The newest release, for people; None where it was not read."""
        return None if self.offer.release is None else printable(self.offer.release.version)

    @property
    def news(self) -> list[str]:
        """What is new in it, from the figures that were signed with it."""
        return [] if self.offer.release is None else news_of(self.offer.release)

    @property
    def is_newer(self) -> bool:
        """Whether there is something to be told of: a release that is not in use, damaged or not."""
        return self.offer.release is not None and self.offer.status != "current" and not self.offer.is_repair


class LastLook:
    """What the last look of one family found, for pages and commands that ask nobody."""

    def __init__(self, database: Database, installed: Installed, family: Family, clock: Callable[[], datetime]) -> None:
        """Keep it in a row of `adoption_facts`, so that another process knows it too."""
        self._database = database
        self._installed = installed
        self._clock = clock
        self._name = _FACT if family == DEFAULT_FAMILY else f"{_FACT}.{family}"

    def keep(self, offer: Offer) -> Offered:
        """This was found now."""
        found = Offered(looked_at=self._clock(), offer=offer)
        self.forget()
        if offer.status in _STAND:
            written = found.to_bytes().decode()
            self._database.execute("INSERT OR REPLACE INTO adoption_facts VALUES (?, ?)", (self._name, written))
        return found

    def forget(self) -> None:
        """It was taken, or is not to be had."""
        self._database.execute("DELETE FROM adoption_facts WHERE name = ?", (self._name,))

    def standing(self, state: InstallState) -> Offered | None:
        """A release that could be taken: one that was looked at, or an older one that is here and waits.

        It is newer than the model in use, or that one itself where its files are damaged.
        """
        found = self._looked_at(state)
        looked_at = found and found.offer.release
        if looked_at and (state.trial is None or looked_at.seq > state.trial.seq):
            return found
        return self._staged(state)

    def _looked_at(self, state: InstallState) -> Offered | None:
        rows = self._database.query("SELECT value FROM adoption_facts WHERE name = ?", (self._name,))
        try:
            found = Offered.from_bytes(rows[0]["value"].encode()) if rows else None
        except ContractError:  # of an app of before or after
            return None
        if found is None or found.offer.release is None:
            return None
        seq = found.offer.release.seq
        is_fresh = timedelta(0) <= self._clock() - found.looked_at < _KEPT_FOR
        if not is_fresh or state.why_set_aside(seq) is not None:
            return None
        return found if self._is_missing(state, seq) else None

    def _is_missing(self, state: InstallState, seq: int) -> bool:
        """Whether a release would better what is in use. Files are read only where one of its number was offered."""
        if state.current is None or state.current.seq < seq:
            return True
        return state.current.seq == seq and self._installed.damage(state.current) is not None

    def _staged(self, state: InstallState) -> Offered | None:
        if state.trial is None:
            return None
        try:
            release = self._installed.manifest_of(state.trial)
        except ArtifactError:
            return None
        version = state.current.version if state.current else None
        return Offered(looked_at=self._clock(), offer=Offer(status="here", from_version=version, release=release))


def offer_words(found: Offered, noun: str = "model") -> str:
    """Where the newest release stands, in one sentence."""
    offer, name = found.offer, f"{noun.capitalize()} {found.version}"
    reason = printable(offer.reason or "")
    return {
        "offered": f"{name} is damaged on this disk, and offered anew." if offer.is_repair else f"{name} is offered.",
        "here": f"{name} is here and waits for its trial.",
        "current": f"{name} is the newest there is.",
        "waiting": f"{name} goes out in stages, and it is not your turn yet (stage {offer.percent or 0:g} %).",
        "halted": f"The server stopped the newest {noun}: {reason}.",
        "set-aside": f"The newest {noun} is set aside here: {reason}.",
        "no-release": f"The server has released no {noun} yet.",
        "unsupported": f"The newest {noun} is for a newer app: {reason}.",
    }[offer.status]


def cost_words(cost: Cost) -> str:
    """How much is to be fetched, and as what."""
    whole = "the whole model"
    what = {"adapter": "an adapter for a base that is here", "delta": "what changed since a model that is here"}.get(
        cost.fetched_as, whole
    )
    if cost.has_to_fetch_base:
        what = "a base and an adapter for it; later ones come as adapters alone"
    rest = f" of {size_words(cost.all_bytes)}, the rest is here" if cost.missing_bytes < cost.all_bytes else ""
    return (
        f"{size_words(cost.missing_bytes)} to fetch{rest}: {what}. It takes {size_words(cost.disk_bytes)} on the disk."
    )


def when_words(found: Offered, *, is_automatic: bool, waits: tuple[str, ...], shown: Callable[[datetime], str]) -> str:
    """When it comes by itself, in a sentence or two; empty where there is nothing to come.

    Args:
        found: What was found.
        is_automatic: Whether newer models are looked for without being asked.
        waits: What a download or a trial waits for just now.
        shown: A moment, for people.
    """
    offer = found.offer
    if offer.cost is not None and offer.cost.lacks is not None:
        return f"It does not come: {offer.cost.lacks}."
    now = f" Not just now: {waits[0]}." if waits else ""
    if offer.status == "offered":
        if not is_automatic:
            return "It comes when you take it: nothing comes by itself here, because that is switched off."
        return (
            "By itself it comes within six hours while the app in the browser runs, or the next time a timer starts "
            f"an update; it is tried when nobody uses this machine.{now}"
        )
    if offer.status == "here":
        if not is_automatic:
            return "It is tried when you take it: nothing is done by itself here, because that is switched off."
        return f"By itself it is tried when nobody uses this machine.{now}"
    if offer.status == "waiting":
        return _turn_words(offer, found.looked_at, shown)
    return ""


def offer_facts(found: Offered) -> dict[str, Any]:
    """For programs."""
    offer, release = found.offer, found.offer.release
    return {
        "status": offer.status,
        "is_offered": offer.status in ("offered", "here"),
        "is_repair": offer.is_repair,
        "from_version": offer.from_version,
        "to_version": found.version,
        "seq": release.seq if release else None,
        "tier": release.tier if release else None,
        "made_at": release.created_at.isoformat() if release else None,
        "notes": release.notes.model_dump(mode="json") if release and release.notes else None,
        "news": found.news,
        "reason": offer.reason,
        "cost": offer.cost.model_dump(mode="json") if offer.cost else None,
        "package_bytes": release.package_size_bytes if release else None,
        "percent": offer.percent,
        "not_before": offer.not_before.isoformat() if offer.not_before else None,
        "looked_at": found.looked_at.isoformat(),
    }


def _turn_words(offer: Offer, now: datetime, shown: Callable[[datetime], str]) -> str:
    if offer.not_before is None:
        return "The plan that was signed with it names no day for this device yet."
    if offer.not_before > now:
        return f"By the plan that was signed with it, your turn does not come before {shown(offer.not_before)}."
    return "By the plan that was signed with it your turn could have come; the server has not let it go so far."


def size_words(n_bytes: int) -> str:
    """Megabytes; kilobytes where there is less than a tenth of one, gigabytes from a thousand on."""
    if n_bytes < 1e5:
        return f"{math.ceil(n_bytes / 1e3)} kB"
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
