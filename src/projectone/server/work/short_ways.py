"""From where devices come to a new release, and the short ways that are made for them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from projectone.contracts.releases import ReleaseUpdate
from projectone.server.conversion.updates import make_updates
from projectone.server.delivery.ledger import Ledger
from projectone.server.pipeline.models import ModelFolders, find_adapter
from projectone.storage.blobs import FileBlobs

_N_EARLIER = 2  # releases from which a difference is made; devices keep these


class ShortWays:
    """Makes the short ways to a model that is released.

    Args:
        home: Of the server; runs lie below it, with what they trained.
        models: Where models lie.
        packages: Where packages lie.
        ledger: Knows what devices have.
        channel: Whose devices.
        base: Digest of what every model is trained from.
        recalled: Runs whose models learned from what was withdrawn since.
    """

    def __init__(
        self,
        *,
        home: Path,
        models: ModelFolders,
        packages: FileBlobs,
        ledger: Ledger,
        channel: str,
        base: Callable[[], str],
        recalled: Callable[[], Collection[str]],
    ) -> None:
        self._home, self._models, self._packages = home, models, packages
        self._ledger, self._channel = ledger, channel
        self._base, self._recalled = base, recalled

    def make(self, weights_sha256: str, *, below_bytes: int) -> tuple[ReleaseUpdate, ...]:
        """The short ways to a model whose package has `below_bytes`.

        Raises:
            StorageError: if the disk refused.
        """
        base_sha256 = self._base()
        return make_updates(
            self._models.find(weights_sha256),
            self._earlier(weights_sha256),
            self._packages,
            below_bytes=below_bytes,
            base=None if base_sha256 == weights_sha256 else self._models.known(base_sha256),
            adapter=find_adapter(self._home, weights_sha256),
        )

    def _earlier(self, weights_sha256: str) -> list[Path]:
        """The models that devices are likely to have, newest first.

        None that learned from what was withdrawn: whoever has the new model and the difference has the old one.
        """
        recalled, releases = self._recalled(), reversed(self._ledger.releases(self._channel))
        digests = [release.manifest.weights_sha256 for release in releases if release.run_id not in recalled]
        known = [digest for digest in dict.fromkeys(digests) if digest != weights_sha256]
        return [folder for digest in known[:_N_EARLIER] if (folder := self._models.known(digest)) is not None]
