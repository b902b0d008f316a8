"""What a golden set can show at all: the smallest gain over production that the gate could tell from chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.bootstrap import ratio_interval
from projectone.server.evaluation.gate import GateConfig

# Standard errors below the value at which the gate's 95 % interval ends, and those that a candidate of average luck
# may be unlucky by so that four out of five still pass (power 80 %).
_Z_INTERVAL = 1.96
_Z_POWER = 0.84
_N_HALVINGS = 40
_MOST_TIMES = 1024


@dataclass(frozen=True)
class GatePower:
    """What the gate could confirm with one golden set, production's errors on it being what they are.

    Attributes:
        wer: Production's word error rate on the set, as a fraction.
        standard_error: Of that rate.
        n_words: The rate rests on these.
    """

    wer: float
    standard_error: float
    n_words: int

    def smallest_gain(self, *, times: float = 1.0) -> float | None:
        """The smallest gain (a fraction of the words) that four of five candidates get past the gate with.

        A candidate is taken to right each of production's errors with the same chance and to make no new one; a real
        one makes some, and needs more. So this is a bound from below: a smaller gain cannot be confirmed.

        Args:
            times: As if the set were this many times as large, with more of the same.

        Returns:
            None if even a model without any error could not be told from chance.
        """
        if not self._is_confirmed(1.0, times):
            return None
        low, high = 0.0, 1.0
        for _ in range(_N_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._is_confirmed(middle, times) else (middle, high)
        return high * self.wer

    def times_needed(self, gain: float) -> int | None:
        """How many times as large the set has to be for this gain to be confirmed; None if no size would do."""
        times = 1
        while times <= _MOST_TIMES:
            smallest = self.smallest_gain(times=times)
            if smallest is not None and smallest <= gain:
                return times
            times += max(1, times // 4)
        return None

    def _is_confirmed(self, share: float, times: float) -> bool:
        """Whether a candidate that rights this share of the errors gets past the gate four times of five."""
        n_words = self.n_words * times
        # Which errors are righted is chance: the variance of a count of `wer * n_words` coins.
        luck = math.sqrt(share * (1 - share) * self.wer / n_words)
        width = math.hypot(share * self.standard_error / math.sqrt(times), luck)
        return share * self.wer > _Z_INTERVAL * width + _Z_POWER * luck


def power_of(production: EvaluationReport, config: GateConfig | None = None) -> GatePower:
    """What the gate could confirm with the set that this report is about."""
    config = config or GateConfig()
    spoken = [utterance for utterance in production.utterances if utterance.n_words]
    interval = ratio_interval(
        [utterance.word_errors for utterance in spoken],
        [utterance.n_words for utterance in spoken],
        [utterance.speaker for utterance in spoken],
        n_resamples=config.n_resamples,
        are_speakers_fixed=len({utterance.speaker for utterance in spoken}) < config.few_speakers,
        seed=config.seed,
    )
    # The gate asks for the lower bound alone, and intervals of rates are not even on both sides.
    error = max(0.0, interval.value - interval.low) / _Z_INTERVAL
    return GatePower(interval.value, error, sum(utterance.n_words for utterance in spoken))
