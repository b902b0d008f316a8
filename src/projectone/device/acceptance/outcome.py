"""How every trial ends: what both models got wrong is judged and kept, and one that is worse here is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from projectone.device.acceptance.judging import REFUSED, Judgement, Pair, judge
from projectone.device.acceptance.rows import TrialRows
from projectone.errors import ArtifactError, PostponedError


class WorseHereError(ArtifactError):
    """The new model is worse for this user than the one in use. Keep that one; a later release may be better."""


@dataclass(frozen=True)
class OnTrial:
    """A release that is tried.

    Attributes:
        seq: Its number.
        version: Its name.
        noun: What people call one of its kind.
        may_go_on: Asked between two recordings or sentences.
    """

    seq: int
    version: str
    noun: str
    may_go_on: Callable[[], bool]

    def go_on(self) -> None:
        """Come back only if this is still the moment.

        Raises:
            PostponedError: if it is not.
        """
        if not self.may_go_on():
            raise PostponedError(f"the trial of the new {self.noun} waits: this machine is needed for something else")


def conclude(
    release: OnTrial,
    against: str,
    pairs: Sequence[Pair],
    *,
    rows: TrialRows,
    now: datetime,
    n_maybe_learned: int,
    refusal: Callable[[Judgement], str],
) -> None:
    """Judge a release by what it and the one in use got wrong, and keep the judgement.

    Args:
        release: What was tried.
        against: The version in use.
        pairs: What both got wrong, recording by recording or sentence by sentence.
        rows: Keeps what came of it.
        now: The time.
        n_maybe_learned: How many of these the server may have had when the release was made.
        refusal: Says to a person why it is not taken.

    Raises:
        WorseHereError: if the release is worse for this user.
    """
    judged = judge(pairs)
    rows.keep(release.seq, release.version, against, judged, tried_at=now, n_maybe_learned=n_maybe_learned)
    if judged.verdict in REFUSED:
        raise WorseHereError(refusal(judged))
