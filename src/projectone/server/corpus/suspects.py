"""What a device sent that is no longer trusted: held for a person, as long as no model learned from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

from sqlalchemy import Engine, select, update

from projectone.server.corpus.review import Checks
from projectone.server.corpus.sample_words import opened
from projectone.server.corpus.tables import SAMPLES, SampleRow
from projectone.server.corpus.vault import Vault
from projectone.server.database import reading, writing

REVOKED: Final = "device-revoked"
"""Why a sample is held whose device was revoked: somebody else may have spoken for the person."""

_GOLDEN = "golden"  # what judges models is not trained on, and was looked at by a person


class Suspects:
    """Finds what a device sent. Which one did is sealed with the words: this takes a process that may open them."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def states(self, device_id: str, contributor_id: str) -> Counter[str]:
        """How many samples of a device are in each state; those that were erased name no device any more."""
        return Counter(row.state for row in self._sent(device_id, contributor_id))

    def hold(self, device_id: str, contributor_id: str) -> int:
        """Hold what a device sent and no run has used; gives how many are held now that were not before.

        `corpus review` then shows them, and lets each go on or not. What a person has accepted is not held again.
        """
        n_held = 0
        for row in self._sent(device_id, contributor_id):
            checks = Checks.read(row.checks)
            is_held = row.state == "held" and row.reason != _GOLDEN
            if REVOKED in checks.held or REVOKED in checks.accepted or not (is_held or row.state == "waiting"):
                continue
            suspected = replace(checks, held=(*(checks.held if is_held else ()), REVOKED)).write()
            still = (SAMPLES.c.sample_id == row.sample_id, SAMPLES.c.state == row.state)
            reason = row.reason if is_held else REVOKED
            with writing(self._engine) as connection:
                held = update(SAMPLES).where(*still).values(state="held", reason=reason, checks=suspected)
                n_held += connection.execute(held).rowcount
        return n_held

    def _sent(self, device_id: str, contributor_id: str) -> list[SampleRow]:
        theirs = select(SAMPLES).where(SAMPLES.c.contributor_id == contributor_id, SAMPLES.c.state != "erased")
        with reading(self._engine) as connection:
            rows = connection.execute(theirs).all()
        return [row for row in opened(rows, self._vault) if row.device_id == device_id]
