"""Ask, judge, fetch, unpack, try: in that order, and never a step back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from projectone.contracts.endpoints import LATEST_MODEL_INFO
from projectone.contracts.releases import BasePackage, LatestModelInfo, NotedRelease, ReleaseManifest, ReleaseUpdate
from projectone.contracts.rollouts import N_BUCKETS, Turn
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.installed import Installed, InstallState, Outcome, Slot
from projectone.device.releases import SignedReleases
from projectone.device.transport import Transport
from projectone.device.trust import AppTooOldError
from projectone.device.updater.download import ByteProgress, Download, Wanted
from projectone.device.updater.offer import Offer, OfferStatus, cost_of
from projectone.device.updater.room import OverBudgetError, Room
from projectone.device.updater.stops import note_stopped, note_way_back
from projectone.device.updater.ways import base_of, short, ways_to, whole
from projectone.errors import ArtifactError, ContractError, PostponedError, RefusedError

UpdateStatus = Literal["updated", "current", "no-release", "set-aside", "rejected", "waiting", "halted", "staged"]
"""A new model is in use; there is none newer; there is none at all; the newest is not wanted here; it failed here; it
is not this device's turn; the server stopped it; it is here and waits for a moment to be tried."""

MayGoOn = Callable[[], bool]
"""Whether this is the moment to try a model."""

TakeTurn = Callable[[ReleaseManifest, bytes | None, bool], Turn]
"""Whose turn a release is, by what was signed about how far it has gone, and whether it is wanted before its turn."""

SeeTurn = Callable[[ReleaseManifest, bytes | None, bool], tuple[Turn, datetime | None]]
"""As `TakeTurn`, for whoever only looks: with the first moment at which the signed plan lets this device have it."""

_NO_RELEASE = "no-release"
_NOTHING_YET = "the server has released nothing yet"
_OFFERS: Final[dict[UpdateStatus, OfferStatus]] = {
    "current": "current",
    "set-aside": "set-aside",
    "waiting": "waiting",
    "halted": "halted",
}
# Whoever answers for the server with "nothing new" holds a release back for a day, and no longer.
_LOOK_ANYWAY = timedelta(days=1)


@dataclass(frozen=True)
class UpdateReport:
    """What an update did. `reason` says why the newest model is not in use, where it is not."""

    status: UpdateStatus
    from_version: str | None
    to_version: str | None
    reason: str | None = None
    received_bytes: int = 0


def _in_use(state: InstallState) -> str | None:
    return state.current.version if state.current else None


def _no_news(version: str | None) -> UpdateReport:
    if version is None:
        return UpdateReport("no-release", None, None, _NOTHING_YET)
    return UpdateReport("current", version, version)


def _not_yet(version: str | None, release: ReleaseManifest, turn: Turn) -> UpdateReport | None:
    """Why a release is not taken now; None if it is this device's turn."""
    if turn.may_install:
        return None
    if turn.is_halted:
        why = "" if turn.reason is None else f" ({turn.reason})"
        return UpdateReport("halted", version, version, f"{release.version} was stopped{why}")
    reason = f"{release.version} goes out in stages: not your turn yet (stage {turn.percent:g} %)"
    return UpdateReport("waiting", version, version, reason)


class Updater:
    """Brings the newest model that is ours, current and working."""

    def __init__(
        self,
        installed: Installed,
        releases: SignedReleases,
        transport: Transport,
        staging: Path,
        *,
        channel: str,
        try_new_model: Callable[[MayGoOn], Outcome[object] | None],
        take_turn: TakeTurn = lambda manifest, share, is_early: Turn("treated", N_BUCKETS),
        see_turn: SeeTurn | None = None,
        budget_bytes: int | None = None,
        family: Family = DEFAULT_FAMILY,
        beside: Callable[[], int] = lambda: 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Join the rooms that an update needs.

        Args:
            installed: The models on this device.
            releases: What the server released, as far as it is believed.
            transport: The way to the server.
            staging: Folder for what is on its way.
            channel: What is followed.
            try_new_model: Loads the model on trial, exercises it and puts it in use; called inside `changing`, with
                what it asks whether it may go on.
            take_turn: Whether a release is for this device now.
            see_turn: The same for whoever only looks; `take_turn` if it is not given.
            budget_bytes: What models, bases and what is on its way may take on the disk; None for no limit.
            family: What the models are for.
            beside: What the models of other families take on the disk.
            sleep: Waits between attempts.
        """
        self._installed = installed
        self._releases = releases
        self._transport = transport
        self._staging = staging
        self._channel = channel
        self._try_new_model = try_new_model
        self._take_turn = take_turn
        self._see_turn = see_turn or (lambda *release: (take_turn(*release), None))
        self._family = family
        self._room = Room(staging, installed, budget_bytes, beside)
        self._sleep = sleep

    def update(
        self,
        *,
        is_again: bool = False,
        is_early: bool = False,
        may_try: MayGoOn = lambda: True,
        on_progress: ByteProgress | None = None,
    ) -> UpdateReport:
        """Get the newest model into use. Whatever happens, a model that works stays.

        Args:
            is_again: Also take a release that failed here before, or that the user went back from.
            is_early: Take a release that goes out in stages before it is this device's turn.
            may_try: Whether a model may be tried at this moment; if not, it is fetched and waits.
            on_progress: Called while bytes arrive.

        Raises:
            LeaseError: if another process is updating.
            SignatureError, RollbackError, ExpiredReleaseError, ArtifactError, DigestMismatchError: if the release must
                not be installed.
            TransportError: if the server could not be reached; the next call goes on where this one stopped.
            StorageError: if there is too little space, or the disk refused.
        """
        with self._installed.changing():
            state = self._installed.state()
            from_version = _in_use(state)
            is_quiet = state.trial is None and not is_again  # a model that waits may have been stopped meanwhile
            if is_quiet and self._releases.is_looked_at(within=_LOOK_ANYWAY) and not self._has_news(state):
                return _no_news(from_version)
            with self._releases.current() as trusted:
                manifest, share = trusted.release(floor=state.floor), trusted.rollout()
            if manifest is None:
                return UpdateReport("no-release", from_version, from_version, _NOTHING_YET)
            report, *_ = self._judge(
                state,
                manifest,
                lambda is_wanted: (self._take_turn(manifest, share, is_wanted), None),
                is_again=is_again,
                is_early=is_early,
            )
            if report is None:
                note_way_back(self._installed, manifest)
                received = 0
                if not self._is_staged(state, manifest):
                    self._installed.forget_trial()
                    received = self._fetch(manifest, on_progress)
                report = self._try(manifest, from_version, may_try, received)
            elif report.status != "waiting":
                self._installed.forget_trial()
            note_stopped(self._installed, share)
            self._installed.retire(manifest.min_seq)
            self._releases.expect(report.status == "waiting")
            return report

    def look(self, *, is_again: bool = False, is_early: bool = False) -> Offer:
        """What `update` would bring, with what is new in it and how much is to be fetched; nothing of it is fetched.

        Only what was signed counts, and it is always asked for: what is hinted without a signature keeps nothing away.

        Args:
            is_again: As if a release that was set aside were wanted.
            is_early: As if it were wanted before this device's turn.

        Raises:
            LeaseError: if another process looks, and does not come to an end.
            SignatureError, RollbackError, ExpiredReleaseError, ArtifactError: if what the server says must not be
                believed.
            TransportError: if the server could not be reached.
            StorageError: if the disk refused.
        """
        try:
            with self._releases.current() as trusted:
                state = self._installed.state()  # only now: who was waited for may have brought a model
                release, share = trusted.release(floor=state.floor), trusted.rollout()
        except AppTooOldError as error:
            return Offer(status="unsupported", from_version=_in_use(self._installed.state()), reason=str(error))
        if release is None:
            return Offer(status="no-release", from_version=_in_use(state), reason=_NOTHING_YET)
        offer = self._offer(state, release, share, is_again=is_again, is_early=is_early)
        # A hint that there is nothing new must not hold back what was just seen.
        self._releases.expect(offer.status != "current")
        return offer

    def _offer(
        self, state: InstallState, release: NotedRelease, share: bytes | None, *, is_again: bool, is_early: bool
    ) -> Offer:
        unmet, turn, not_before = self._judge(
            state,
            release,
            lambda is_wanted: self._see_turn(release, share, is_wanted),
            is_again=is_again,
            is_early=is_early,
        )
        status = _OFFERS[unmet.status] if unmet else "here" if self._is_staged(state, release) else "offered"
        has_cost = status in ("offered", "waiting", "set-aside")
        return Offer(
            status=status,
            from_version=_in_use(state),
            release=release,
            reason=unmet.reason if unmet else None,
            cost=cost_of(release, self._installed, self._room, self._missing_bytes) if has_cost else None,
            percent=None if turn is None or release.rollout is None else turn.percent,
            not_before=not_before if status == "waiting" else None,
            is_repair=status == "offered" and state.current is not None and state.current.seq == release.seq,
        )

    def _judge(
        self,
        state: InstallState,
        release: NotedRelease,
        turn_of: Callable[[bool], tuple[Turn, datetime | None]],
        *,
        is_again: bool,
        is_early: bool,
    ) -> tuple[UpdateReport | None, Turn | None, datetime | None]:
        """Why a release is not taken now, None if it is; and whose turn it is, where that was asked.

        Args:
            state: What is installed.
            release: The newest one.
            turn_of: Whose turn it is, by whether it is wanted whoever's turn it is.
            is_again: Whether one that was set aside is wanted.
            is_early: Whether it is wanted before its turn.
        """
        current = state.current
        # A model that the server has retired is worse than one that was set aside.
        is_retired = current is not None and current.seq < release.min_seq
        settled = self._needs_nothing(state, release, is_again=is_again or is_retired)
        if settled is not None:
            return settled, None, None
        # Without a model there is nothing to wait with; one of this number that is here and damaged is repaired.
        cannot_wait = current is None or current.seq == release.seq or is_retired
        turn, not_before = turn_of(is_early or cannot_wait)
        return _not_yet(_in_use(state), release, turn), turn, not_before

    def _missing_bytes(self, wanted: Wanted) -> int:
        return Download(self._transport, self._staging, wanted).missing_bytes()

    def _is_staged(self, state: InstallState, release: NotedRelease) -> bool:
        """Whether the release lies here whole, and was not tried to the end. Nothing is fetched again for its notes."""
        waits = state.trial
        if waits is None or waits.seq != release.seq or self._installed.damage(waits) is not None:
            return False
        return self._installed.manifest_of(waits).listed() == release.listed()

    def _has_news(self, state: InstallState) -> bool:
        """Whether the server hints at something to look for. What the hint says decides nothing else."""
        query = f"channel={quote(self._channel)}"
        if self._family != DEFAULT_FAMILY:  # a server of before families takes the first for what it always was
            query += f"&family={self._family}"
        try:
            answer = self._transport.call("GET", LATEST_MODEL_INFO, query=query, is_signed=False)
            hint = LatestModelInfo.from_bytes(answer.body)
        except RefusedError as error:
            return error.reason != _NO_RELEASE
        except ContractError:
            return True
        if state.current is None or state.current.seq < max(hint.seq, hint.min_seq):
            return True
        return self._installed.damage(state.current) is not None

    def _needs_nothing(self, state: InstallState, manifest: ReleaseManifest, *, is_again: bool) -> UpdateReport | None:
        current, from_version = state.current, _in_use(state)
        if current is not None and current.seq == manifest.seq and self._installed.damage(current) is None:
            return UpdateReport("current", from_version, from_version)
        reason = state.why_set_aside(manifest.seq)
        if reason is not None and not is_again:
            return UpdateReport("set-aside", from_version, from_version, f"{manifest.version} is set aside: {reason}")
        return None

    def _fetch(self, manifest: ReleaseManifest, on_progress: ByteProgress | None) -> int:
        """Bring the release here by the shortest way, ready for its trial; gives the bytes that were fetched."""
        slot, received = self._shortest_way(manifest, on_progress)
        if slot is None:
            slot, n_bytes = self._fetched(
                whole(manifest), manifest, lambda file: self._installed.add(file, manifest), on_progress
            )
            received += n_bytes
        return received

    def _try(
        self, manifest: ReleaseManifest, from_version: str | None, may_try: MayGoOn, received: int
    ) -> UpdateReport:
        try:
            if not may_try():
                raise PostponedError("it is here and waits for a quiet moment to be tried")
            outcome = self._try_new_model(may_try)
        except PostponedError as error:
            return UpdateReport("staged", from_version, from_version, f"{manifest.version}: {error}", received)
        if outcome is None or outcome.reason is not None:
            reason = outcome.reason if outcome else "it was not tried"
            return UpdateReport("rejected", from_version, from_version, f"{manifest.version}: {reason}", received)
        return UpdateReport("updated", from_version, manifest.version, None, received)

    def _shortest_way(self, manifest: ReleaseManifest, on_progress: ByteProgress | None) -> tuple[Slot | None, int]:
        """The release rebuilt from a model that is here, if a way leads from it, and the bytes that were fetched.

        Whatever goes wrong on a short way, the whole package is still to be had: only what stops both ends the update.
        """
        received = 0
        for way in ways_to(manifest, lambda way: self._installed.file_of(way.path, way.base_sha256) is not None):
            try:
                slot, n_bytes = self._go(way, manifest, on_progress)
            except (ArtifactError, RefusedError, OverBudgetError):
                continue
            return slot, received + n_bytes
        return None, received

    def _go(self, way: ReleaseUpdate, manifest: ReleaseManifest, on_progress: ByteProgress | None) -> tuple[Slot, int]:
        received = 0
        base = self._installed.file_of(way.path, way.base_sha256)
        if base is None and way.base_package is not None:
            received = self._fetch_base(way, way.base_package, manifest, on_progress)
            base = self._installed.file_of(way.path, way.base_sha256)
        if base is None:
            raise ArtifactError(f"release {manifest.seq}: what this update begins at is not here")
        found = base  # for the type checker: a name that no longer changes
        slot, n_bytes = self._fetched(
            short(way), manifest, lambda update: self._installed.rebuild(update, found, way, manifest), on_progress
        )
        return slot, received + n_bytes

    def _fetch_base(
        self, way: ReleaseUpdate, package: BasePackage, manifest: ReleaseManifest, on_progress: ByteProgress | None
    ) -> int:
        download = Download(self._transport, self._staging, base_of(package), sleep=self._sleep)
        # The base, and the release that is made from it.
        self._room.check(download.missing_bytes() + 2 * sum(file.size_bytes for file in manifest.files))
        file = download.fetch(on_progress)
        try:
            self._installed.add_base(file, way, manifest)
        finally:
            download.discard()
        return download.received_bytes

    def _fetched(
        self,
        wanted: Wanted,
        manifest: ReleaseManifest,
        install: Callable[[Path], Slot],
        on_progress: ByteProgress | None,
    ) -> tuple[Slot, int]:
        download = Download(self._transport, self._staging, wanted, sleep=self._sleep)
        self._room.check(download.missing_bytes() + sum(file.size_bytes for file in manifest.files))
        file = download.fetch(on_progress)
        try:
            slot = install(file)
        except ArtifactError:
            download.discard()
            raise
        self._installed.begin_trial(slot)
        download.discard()
        return slot, download.received_bytes
