"""This device's place in releases that go out in stages: a random name for that alone, which never leaves it."""

from __future__ import annotations

import secrets
from datetime import datetime

from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import RolloutState, SeenTurn, Turn, earliest_turn, turn_of
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.errors import ContractError
from projectone.storage.database import Database

_NAME, _SEEN = "bucket_name", "seen_turn"
# The name stays one for all families: a release's salt draws another place for it each time.


class Cohorts:
    """Whose turn it is, as far as this device is concerned."""

    def __init__(self, database: Database, family: Family = DEFAULT_FAMILY) -> None:
        self._database = database
        self._seen = _SEEN if family == DEFAULT_FAMILY else f"{_SEEN}.{family}"

    def turn(
        self, manifest: ReleaseManifest, state: bytes | None, now: datetime, *, is_asking_early: bool = False
    ) -> Turn:
        """Whether this device takes a release now; a turn that has not come is remembered for `status`.

        Args:
            manifest: The release, signed.
            state: What the server signed about how far it has gone; None where it signed nothing.
            now: The time.
            is_asking_early: The user wants it before their turn.
        """
        try:
            known = None if state is None else RolloutState.from_bytes(state)
        except ContractError:  # of a server that is newer than this app: nobody's turn, until the app is
            known = None
        turn = turn_of(self._bucket_name(), manifest.seq, manifest.rollout, known, now, is_asking_early=is_asking_early)
        seen = SeenTurn(
            seq=manifest.seq,
            version=manifest.version,
            percent=turn.percent,
            is_halted=turn.is_halted,
            reason=turn.reason,
        )
        with self._database.transaction():
            self._database.execute("DELETE FROM health_facts WHERE name = ?", (self._seen,))
            if not turn.may_install:
                self._keep(self._seen, seen.to_bytes().decode())
        return turn

    def earliest(self, manifest: ReleaseManifest) -> datetime | None:
        """When the plan that was signed with a release lets this device have it; None where it names no moment."""
        return earliest_turn(self._bucket_name(), manifest.rollout)

    def seen(self) -> SeenTurn | None:
        """The release that was seen last, if its turn had not come."""
        found = self._find(self._seen)
        return None if found is None else SeenTurn.from_bytes(found.encode())

    def _bucket_name(self) -> str:
        with self._database.transaction():
            name = self._find(_NAME)
            if name is None:
                name = secrets.token_hex(16)
                self._keep(_NAME, name)
            return name

    def _find(self, name: str) -> str | None:
        rows = self._database.query("SELECT value FROM health_facts WHERE name = ?", (name,))
        return rows[0]["value"] if rows else None

    def _keep(self, name: str, value: str) -> None:
        self._database.execute("INSERT INTO health_facts VALUES (?, ?)", (name, value))
