import numpy as np
import pytest

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.gate import GateConfig, judge
from projectone.server.evaluation.simulation import Crowd, simulated_reports

QUICK = GateConfig(n_resamples=300)
N_PAIRS = 120


def pairs(
    seed: int, *, gain: float = 0.0, n: int = N_PAIRS, crowd: Crowd | None = None
) -> list[tuple[EvaluationReport, EvaluationReport]]:
    random = np.random.default_rng(seed)
    crowd = crowd or Crowd()
    return [simulated_reports(crowd, random, n_speakers=50, clips_per_speaker=6, gain=gain) for _ in range(n)]


def test_of_equal_models_one_in_twenty_is_promoted_at_most_and_by_a_bare_comparison_every_second() -> None:
    judged = pairs(0)
    assert sum(judge(*pair, QUICK).is_new_model_better for pair in judged) <= 0.05 * N_PAIRS
    # The control: what is promoted because its number is lower.
    assert sum(after.wer.value < before.wer.value for before, after in judged) > 0.35 * N_PAIRS


def test_of_models_that_are_far_better_most_are_promoted() -> None:
    assert sum(judge(*pair, QUICK).is_new_model_better for pair in pairs(1, gain=0.06, n=30)) >= 24


def test_simulated_models_differ_as_measured_ones_do_and_gain_what_they_should() -> None:
    for gain in (0.0, 0.03):
        made = pairs(2, gain=gain, n=50, crowd=Crowd(taste=0.0))
        before, after = (
            np.array([[clip.word_errors for clip in pair[side].utterances] for pair in made]) for side in (0, 1)
        )
        n_words = sum(clip.n_words for pair in made for clip in pair[0].utterances)
        # 80,000 words: rates are known to about 0.003.
        assert before.sum() / n_words == pytest.approx(Crowd().wer, abs=0.01)
        assert (before - after).sum() / n_words == pytest.approx(gain, abs=0.004)
        if gain == 0:
            # As `benchmarks/gate.py --measure` finds them: clips_changed, words_changed, right_clips_lost.
            assert (before != after).mean() == pytest.approx(0.207, abs=0.03)
            assert abs(before - after).sum() / n_words == pytest.approx(0.051, abs=0.01)
            assert (after[before == 0] > 0).mean() == pytest.approx(0.075, abs=0.02)


def test_a_crowd_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="speaker_sd"):
        Crowd(wer=0.1, speaker_sd=0.4)
    with pytest.raises(ValueError, match="wer"):
        Crowd(wer=0.0)
