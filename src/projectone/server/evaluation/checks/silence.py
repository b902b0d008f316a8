"""Words on nothing: golden clips in which nobody speaks, and sounds that were made for this."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult, EvaluationReport
from projectone.server.evaluation.checks.protocol import Evidence, not_judged, objection, passed, percent
from projectone.server.evaluation.checks.texts import has_words
from projectone.server.evaluation.probes import probes

_MOST_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class Silence:
    """Hardly a clip without speech comes out with words, unless production writes them as often.

    Of the made sounds those that are silent come out without a word, if they do in production; of the others (noise,
    hum, babble, music) a few may change. Where production itself writes words on many of them, a few more are chance:
    then the change must be more than that, by the sign test.

    Attributes:
        max_share: Of the golden clips without speech.
        max_more_sounds: So many more made sounds with words than in production.
        many_sounds: With words on this share of them in production, chance is asked too.
        level: Of the sign test.
    """

    name: str = "silence"
    max_share: float = 0.01
    max_more_sounds: int = 3
    many_sounds: float = 0.25
    level: float = 0.05

    def __post_init__(self) -> None:
        if self.max_more_sounds < 0 or not all(0 <= x <= 1 for x in (self.max_share, self.many_sounds, self.level)):
            raise ValueError(f"expected shares from 0 to 1 and a count from 0 on, got {self!r}")

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        return [self._judge_clips(evidence), self._judge_sounds(evidence)]

    def _judge_clips(self, evidence: Evidence) -> CheckResult:
        silent = [pair for pair in evidence.pairs if not pair[0].n_words]
        if not silent:
            return not_judged(self, "the set has no clip in which nobody speaks")
        before, after = (sum(has_words(pair[side].hypothesis) for pair in silent) for side in (0, 1))
        told = f"{after} of {len(silent)} of the clips in which nobody speaks come out with words"
        if after > before and after > self.max_share * len(silent):
            reason = f"{told}; in production {before}, allowed {percent(self.max_share)}"
            return objection(self, "reject", "silence-hallucination", reason)
        return passed(self, told)

    def _judge_sounds(self, evidence: Evidence) -> CheckResult:
        before, after = (_written_on(report) for report in (evidence.production, evidence.candidate))
        if before is None or after is None:
            return not_judged(self, "a report does not tell what was written on sounds without speech")
        new = sorted(after - before)
        silent = {probe.name for probe in probes() if probe.is_silent}
        told = f"words on {len(after)} of {len(evidence.candidate.probes)} made sounds without speech"
        told += f", in production {len(before)}"
        if new:
            told += f"; newly on {', '.join(new[:_MOST_NAMED])}" + (" and others" if len(new) > _MOST_NAMED else "")
        if silent.intersection(new) and not silent & before:
            return objection(self, "reject", "silence-hallucination", f"it writes words on silence: {told}")
        is_chance = len(before) >= self.many_sounds * len(evidence.candidate.probes) and (
            sign_test(len(after - before), len(before - after)) > self.level
        )
        if len(after) > len(before) + self.max_more_sounds and not is_chance:
            return objection(self, "reject", "silence-hallucination", told)
        return passed(self, told)


def sign_test(n_worse: int, n_better: int) -> float:
    """How likely so many or more of the changes are for the worse, if each way is as likely as the other."""
    n = n_worse + n_better
    return float(sum(math.comb(n, k) for k in range(n_worse, n + 1)) / 2**n)


def _written_on(report: EvaluationReport) -> set[str] | None:
    return {probe.name for probe in report.probes if has_words(probe.hypothesis)} if report.probes else None
