"""Which release is current, from metadata that was verified from the root on; and when that was last looked at.

The library does what The Update Framework says: signatures, thresholds, versions that never fall, dates, lengths and
digests. Three rules are this device's own, because the framework leaves them open: the number of a release never falls
below one that ran here; it does not jump out of proportion; and a date too far ahead is no date.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from projectone.contracts.base import canonical_json
from projectone.contracts.releases import (
    DEFAULT_TIER,
    NotedRelease,
    ReleaseManifest,
    ReleaseNotes,
    ReleaseOffer,
    notes_path,
    release_path,
    rollout_path,
)
from projectone.device.transport import Transport
from projectone.device.trust import Trust
from projectone.errors import ArtifactError, ContractError, RefusedError, SettingsError, StorageError
from projectone.storage.files import make_folder, sync_tree, write_atomically
from projectone.storage.locks import exclusive_lock

if TYPE_CHECKING:
    from projectone.device.releases.client import MetadataClient

# Whoever else looks, at whichever family, is soon done: a few kilobytes. A network that hangs takes longer.
_WAIT_S: Final = 30.0
_BUSY: Final = (
    "another window, command or timer has been asking the server all this while, so the network is slow or hangs; "
    "what it finds is shown by `projectone update --status` and the page Model, else try again in a minute"
)


class SignedReleases:
    """The signed metadata of one server, kept on the disk between looks: it is the memory against going back."""

    def __init__(
        self, folder: Path, root: bytes, trust: Trust, transport: Transport, *, clock: Callable[[], datetime]
    ) -> None:
        """Keep metadata in a folder.

        Args:
            folder: For the metadata alone.
            root: The server's first root, which this device was given when it was set up.
            trust: The channel and the tier to follow, and the rules that are the device's own.
            transport: The way to the server.
            clock: The time.
        """
        self._folder = folder
        self._root = root
        self._trust = trust
        self._transport = transport
        self._clock = clock
        # By line: what was signed of one family says nothing of how long a hint about another is believed.
        self._checked = folder / f"checked.{trust.channel}"
        self._expected = folder / f"expected.{trust.channel}"

    def is_looked_at(self, within: timedelta) -> bool:
        """Whether the metadata was found good for this line in this time, and nothing that it told of is expected."""
        if self._expected.exists():
            return False
        try:
            then = datetime.fromisoformat(self._checked.read_text())
            return timedelta(0) <= self._clock() - then < within
        except (OSError, ValueError, TypeError):  # TypeError: a time without its zone
            return False

    def expect(self, is_newer: bool) -> None:
        """Note that a look found what is still to be taken: then nothing but the metadata says that there is nothing.

        Raises:
            StorageError: if the disk refused.
        """
        try:
            make_folder(self._folder)
            if is_newer:
                self._expected.touch()
            else:
                self._expected.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"signed metadata: {error}") from error

    @contextlib.contextmanager
    def current(self) -> Iterator[TrustedReleases]:
        """What the server says now, verified. Who looks at this moment is waited for; then it is asked anew.

        Raises:
            SettingsError: if no root was given, or it is none.
            TransportError: if the server could not be reached.
            ExpiredReleaseError: if what it says is too old, or the clock is wrong.
            SignatureError: if too few of the keys that count signed it.
            RollbackError: if it is older than what it said before.
            ArtifactError: if bytes are not those that were promised.
            ContractError: if it is no such metadata.
            LeaseError: if another process looks, and does not come to an end.
            StorageError: if the disk refused.
        """
        if not self._root:
            raise SettingsError(
                "no release root: set PROJECTONE_RELEASE_ROOT to the file that the server's `init` names, or its copy"
            )
        # Only here: the library takes a while to import.
        from projectone.device.releases.client import MetadataClient

        metadata = self._folder / "metadata"
        with exclusive_lock(self._folder / "lock", what="looking for releases", wait_s=_WAIT_S, busy=_BUSY):
            make_folder(metadata)
            client = MetadataClient(metadata, self._root, self._transport, now=self._clock())
            try:
                client.refresh()
                yield TrustedReleases(client, self._trust)
            finally:  # the library renames without a flush: after a power cut the memory of versions could be gone
                sync_tree(self._folder)
            write_atomically(self._checked, self._clock().isoformat().encode())


class TrustedReleases:
    """Verified metadata, to be asked for documents."""

    def __init__(self, client: MetadataClient, trust: Trust) -> None:
        self._client = client
        self._trust = trust

    def release(self, *, floor: int) -> NotedRelease | None:
        """The release that is current for this device, with what is new in it; None if there is none.

        Args:
            floor: The highest `seq` that ever ran well here.

        Raises:
            RollbackError: if it is older than what ran here, or its number is out of all proportion.
            ArtifactError: if it is not what the metadata says, or needs a newer app.
            TransportError, ContractError, ExpiredReleaseError: as `current`.
        """
        for tier in dict.fromkeys((self._trust.tier, DEFAULT_TIER)):
            path = release_path(self._trust.channel, tier)
            custom = self._client.find(path)
            if custom is None:
                continue
            offer = ReleaseOffer.from_bytes(canonical_json(custom))
            self._trust.judge(offer, tier=tier, floor=floor)  # before anything is fetched
            manifest = ReleaseManifest.from_bytes(self._client.fetch(path))
            if offer != ReleaseOffer.of(manifest):
                raise ArtifactError(f"{path!r}: the release is not the one that is listed")
            return NotedRelease.of(manifest, self._notes(offer))
        return None

    def _notes(self, offer: ReleaseOffer) -> ReleaseNotes | None:
        """What is new in a release; None where nothing is said, or nothing that this app can read.

        No model waits for its notes: of all that could be wrong with them only a wire that fails is told.
        """
        path = notes_path(offer.channel, offer.tier)
        try:
            custom = self._client.find(path)
            if custom is None or ReleaseOffer.from_bytes(canonical_json(custom)) != offer:
                return None
            return ReleaseNotes.from_bytes(self._client.fetch(path))
        except (ArtifactError, ContractError, RefusedError):
            return None

    def rollout(self) -> bytes | None:
        """How far the release may go now, as the server's rollout key signed it; None if nothing was ever said.

        Raises:
            TransportError, ContractError, ArtifactError, ExpiredReleaseError: as `current`.
        """
        path = rollout_path(self._trust.channel)
        return None if self._client.find(path) is None else self._client.fetch(path)
