import numpy as np
import pytest
from tests.unit.server.evaluation.test_gate import FAST, report, utterance

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.gate import judge
from projectone.server.evaluation.power import GatePower, power_of


def production(n_clips: int, wer: float, *, n_speakers: int = 30, seed: int = 0) -> EvaluationReport:
    errors = np.random.default_rng(seed).binomial(10, wer, n_clips)
    return report([utterance(i, int(n), speaker=f"s{i % n_speakers}") for i, n in enumerate(errors)])


def share_promoted(before: EvaluationReport, gain: float, *, n_candidates: int = 60) -> float:
    """Of candidates that right errors at random and gain this much on average, how many the real gate promotes."""
    random = np.random.default_rng(1)
    left = 1 - gain / before.wer.value
    promoted = 0
    for _ in range(n_candidates):
        after = [
            utterance(i, int(random.binomial(u.word_errors, left)), speaker=u.speaker)
            for i, u in enumerate(before.utterances)
        ]
        promoted += judge(before, report(after), FAST).is_new_model_better
    return promoted / n_candidates


@pytest.mark.parametrize("wer", [0.1, 0.3])
def test_the_real_gate_confirms_the_smallest_gain_four_times_of_five_and_half_of_it_hardly_ever(wer: float) -> None:
    before = production(90, wer)
    smallest = power_of(before, FAST).smallest_gain()
    assert smallest is not None
    # Sixty candidates: the share is known to about +-0.1; the normal approximation takes its part.
    assert 0.6 <= share_promoted(before, smallest) <= 0.97
    assert share_promoted(before, smallest / 4) <= 0.3


def test_a_larger_set_confirms_smaller_gains() -> None:
    small, large = (power_of(production(n, 0.2), FAST).smallest_gain() for n in (60, 600))
    assert small is not None and large is not None
    assert large < small / 3


def test_where_production_errs_nowhere_no_gain_can_be_confirmed() -> None:
    power = power_of(production(60, 0.0), FAST)
    assert power.smallest_gain() is None
    assert power.times_needed(0.1) is None


def test_where_one_clip_holds_all_errors_no_gain_can_be_confirmed() -> None:
    power = power_of(report([utterance(i, 8 if i == 0 else 0, speaker=f"s{i}") for i in range(30)]), FAST)
    assert power.smallest_gain() is None


def test_the_set_that_would_be_large_enough_is_large_enough() -> None:
    power = GatePower(wer=0.1, standard_error=0.02, n_words=400)
    now = power.smallest_gain()
    assert now is not None
    times = power.times_needed(now / 3)
    assert times is not None and times >= 3
    then = power.smallest_gain(times=times)
    assert then is not None and then <= now / 3
    assert power.times_needed(now) == 1
