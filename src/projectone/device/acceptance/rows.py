"""What became of each trial, as rows of this device. They never leave it; a report says the verdict alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from projectone.contracts.health import OwnVerdict
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.acceptance.judging import REFUSED, Judgement, Verdict
from projectone.storage.database import Database
from projectone.storage.sqlite import Row

M010_TRIALS = """
CREATE TABLE model_trials (
    seq INTEGER NOT NULL,
    version TEXT NOT NULL,
    against TEXT NOT NULL,
    tried_at TEXT NOT NULL,
    verdict TEXT NOT NULL,
    n_recordings INTEGER NOT NULL,
    n_words INTEGER NOT NULL,
    wrong_before INTEGER NOT NULL,
    wrong_after INTEGER NOT NULL,
    n_maybe_learned INTEGER NOT NULL,
    PRIMARY KEY (seq, against)
) STRICT;
"""

# Numbers and versions of two families may be the same. SQLite changes no key, so the table is made anew.
TRIALS_BY_FAMILY = """
CREATE TABLE model_trials_next (
    family TEXT NOT NULL,
    seq INTEGER NOT NULL,
    version TEXT NOT NULL,
    against TEXT NOT NULL,
    tried_at TEXT NOT NULL,
    verdict TEXT NOT NULL,
    n_recordings INTEGER NOT NULL,
    n_words INTEGER NOT NULL,
    wrong_before INTEGER NOT NULL,
    wrong_after INTEGER NOT NULL,
    n_maybe_learned INTEGER NOT NULL,
    PRIMARY KEY (family, seq, against)
) STRICT;
INSERT INTO model_trials_next SELECT 'speech', * FROM model_trials;
DROP TABLE model_trials;
ALTER TABLE model_trials_next RENAME TO model_trials;
"""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same recordings of this user, or two classifiers on the same sentences.

    Attributes:
        family: What the models are for.
        version: The new model.
        against: The model before it.
        n_recordings: How many recordings both heard.
        n_words: How many words are said in them.
        wrong_before: How many of these the model before got wrong.
        wrong_after: How many the new one got wrong.
        n_maybe_learned: How many of the recordings the new model may have learned from: they speak too well of it.
    """

    family: Family
    seq: int
    version: str
    against: str
    tried_at: datetime
    verdict: Verdict
    n_recordings: int
    n_words: int
    wrong_before: int
    wrong_after: int
    n_maybe_learned: int

    @property
    def is_taken(self) -> bool:
        """Whether nothing in it spoke against the new model."""
        return self.verdict not in REFUSED

    @property
    def words(self) -> str:
        """One or two sentences for the person."""
        if self.family == "intents":
            return self._words_on_sentences()
        if self.n_recordings == 0:
            return "You have corrected no recordings yet, so nothing can be compared."
        recordings = "1 recording" if self.n_recordings == 1 else f"{self.n_recordings} recordings"
        counted = (
            f"In {recordings} of yours with {self.n_words} words, model {self.against} got {self.wrong_before} words "
            f"wrong and model {self.version} got {self.wrong_after}."
        )
        meaning = {
            "better": "It hears you better.",
            "as-good": "The difference may be chance.",
            "untold": "That is too few to tell.",
            "worse": f"That is worse for you, so model {self.against} stays.",
            "collapsed": f"It does not understand you, so model {self.against} stays.",
        }[self.verdict]
        return f"{counted} {meaning}{self._learned()}"

    def _words_on_sentences(self) -> str:
        if self.n_recordings == 0:
            return "You have not said yet what you meant by anything, so nothing can be compared."
        sentences = "1 sentence" if self.n_recordings == 1 else f"{self.n_recordings} sentences"
        counted = (
            f"Of {sentences} whose meaning you corrected, classifier {self.against} got {self.wrong_before} wrong and "
            f"classifier {self.version} got {self.wrong_after}."
        )
        meaning = {
            "better": "It understands you better.",
            "as-good": "The difference may be chance.",
            "untold": "That is too few to tell.",
            "worse": f"That is worse for you, so classifier {self.against} stays.",
            "collapsed": f"It does not understand you, so classifier {self.against} stays.",
        }[self.verdict]
        return f"{counted} {meaning}{self._learned()}"

    def _learned(self) -> str:
        if not self.n_maybe_learned:
            return ""
        whose = "all of them" if self.n_maybe_learned == self.n_recordings else f"{self.n_maybe_learned} of them"
        return f" It may have learned from {whose}, which makes it look better than it is."

    def facts(self) -> dict[str, Any]:
        """For programs: the terminal and the pages say the same."""
        return {
            "family": self.family,
            "version": self.version,
            "against": self.against,
            "tried_at": self.tried_at.isoformat(),
            "verdict": self.verdict,
            "n_recordings": self.n_recordings,
            "n_words": self.n_words,
            "wrong_before": self.wrong_before,
            "wrong_after": self.wrong_after,
            "n_maybe_learned": self.n_maybe_learned,
            "words": self.words,
        }


class TrialRows:
    """The rows of one family."""

    def __init__(self, database: Database, family: Family = DEFAULT_FAMILY) -> None:
        self._database = database
        self._family = family

    def keep(
        self, seq: int, version: str, against: str, judged: Judgement, *, tried_at: datetime, n_maybe_learned: int
    ) -> None:
        """Keep what a trial showed; a later one of the same two models takes its place."""
        self._database.execute(
            "INSERT OR REPLACE INTO model_trials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._family,
                seq,
                version,
                against,
                tried_at.isoformat(),
                judged.verdict,
                judged.n_recordings,
                judged.n_words,
                judged.wrong_before,
                judged.wrong_after,
                n_maybe_learned,
            ),
        )

    def newest(self) -> list[Comparison]:
        """Every trial, the last first."""
        rows = self._database.query(
            "SELECT * FROM model_trials WHERE family = ? ORDER BY tried_at DESC", (self._family,)
        )
        return [_comparison(row) for row in rows]

    def told_of(self, seq: int) -> OwnVerdict | None:
        """All that is said of a release's last trial outside this device; None if it was compared with nothing."""
        found = next((item for item in self.newest() if item.seq == seq), None)
        if found is None:
            return None
        if not found.is_taken:
            return "worse"
        return "untold" if found.verdict == "untold" else "not-worse"


def _comparison(row: Row) -> Comparison:
    return Comparison(
        family=cast(Family, row["family"]),
        seq=row["seq"],
        version=row["version"],
        against=row["against"],
        tried_at=datetime.fromisoformat(row["tried_at"]),
        verdict=cast(Verdict, row["verdict"]),
        n_recordings=row["n_recordings"],
        n_words=row["n_words"],
        wrong_before=row["wrong_before"],
        wrong_after=row["wrong_after"],
        n_maybe_learned=row["n_maybe_learned"],
    )
