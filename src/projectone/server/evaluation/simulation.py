"""Two models over speech that nobody said: what the gate decides where the truth is known.

People differ, a person's clips fail together, and two equally good models do not fail on the same words. How much of
each there is was measured on the starter and on models trained from it (`benchmarks/gate.py --measure`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from projectone.contracts.scores import EvaluationReport, UtteranceScore
from projectone.server.evaluation.scorer import report_on

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
_LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Whom the models listen to, and how much two equally good models differ on them.

    The defaults are the starter's on 129 clips of ten AN4 speakers whom it never heard, and those of 18 pairs of models
    that differ by the training seed alone.

    Attributes:
        wer: Production's word error rate, the mean over people (a fraction).
        speaker_sd: Standard deviation of it between people.
        clumping: How far errors of a person gather in few clips: the intraclass correlation of words in a clip.
        words_per_clip: Mean.
        touched_share: Share of the clips in which an equally good model may write something else.
        anew_share: Of the words in such a clip, how many it hears anew, and no better.
        taste: Standard deviation between people of the share of their errors by which a model is better or worse for
            them although it is as good for all. Between seeds none was found; this is the largest of the 18 pairs.
    """

    wer: float = 0.13
    speaker_sd: float = 0.06
    clumping: float = 0.17
    words_per_clip: float = 5.5
    touched_share: float = 0.7
    anew_share: float = 0.55
    taste: float = 0.17

    def __post_init__(self) -> None:
        for name in ("wer", "clumping", "touched_share", "anew_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}: expected a share between 0 and 1, got {getattr(self, name)!r}")
        if not 0 <= self.speaker_sd < (self.wer * (1 - self.wer)) ** 0.5:
            raise ValueError(f"speaker_sd: expected less than a coin's, got {self.speaker_sd!r}")


def simulated_reports(
    crowd: Crowd,
    random: np.random.Generator,
    *,
    n_speakers: int,
    clips_per_speaker: int,
    gain: float = 0.0,
    n_slices: int = 1,
) -> tuple[EvaluationReport, EvaluationReport]:
    """Production's and a candidate's report on the same clips.

    Args:
        crowd: What people and models are like.
        random: Where chance comes from.
        n_speakers: People.
        clips_per_speaker: Of each.
        gain: Words (a fraction of all) by which the candidate is truly better, over all people there may be.
        n_slices: Groups that the people belong to in turn.
    """
    shape = (n_speakers, clips_per_speaker)
    rates = _beta(random, np.full((n_speakers, 1), crowd.wer), crowd.speaker_sd**2 / (crowd.wer * (1 - crowd.wer)))
    words = np.maximum(1, random.poisson(crowd.words_per_clip, shape))
    rates = _beta(random, np.broadcast_to(rates, shape), crowd.clumping)
    errors = random.binomial(words, rates)

    # Some words are heard anew and no better: as many go wrong as come right, where the clip is hard.
    anew = np.where(random.random(shape) < crowd.touched_share, crowd.anew_share, 0.0)
    after = _changed(random, errors, words, anew * (1 - rates), anew * rates)

    # Better or worse in proportion to what is wrong, so that nobody can gain more than they lose.
    shift = np.clip(crowd.taste * random.standard_normal((n_speakers, 1)) - gain / crowd.wer, -1, 1)
    worse = np.minimum(1, np.maximum(shift, 0) * rates / (1 - rates))
    after = _changed(random, after, words, np.broadcast_to(np.maximum(-shift, 0), shape), worse)
    return _report(errors, words, n_slices, "0" * 64), _report(after, words, n_slices, "1" * 64)


def _beta(random: np.random.Generator, means: Shares, correlation: float) -> Shares:
    """Shares around their means; `correlation` is that of two draws of the same share."""
    if correlation == 0:
        return means
    kept = np.clip(means, 1e-6, 1 - 1e-6)
    weight = 1 / correlation - 1
    # A share of one has no odds; nobody is misheard in every word.
    return np.minimum(random.beta(kept * weight, (1 - kept) * weight), 0.99)


def _changed(random: np.random.Generator, errors: Counts, words: Counts, righted: Shares, broken: Shares) -> Counts:
    return random.binomial(errors, 1 - righted) + random.binomial(words - errors, broken)


def _report(errors: Counts, words: Counts, n_slices: int, model_sha256: str) -> EvaluationReport:
    utterances = [
        UtteranceScore(
            clip_id=f"{speaker}-{clip}",
            speaker=f"speaker-{speaker}",
            slice=f"slice-{speaker % n_slices}",
            word_errors=int(errors[speaker, clip]),
            n_words=int(words[speaker, clip]),
            character_errors=int(errors[speaker, clip]),
            n_characters=5 * int(words[speaker, clip]),
            hypothesis=" ".join(_LETTERS[: words[speaker, clip]]),
        )
        for speaker, clip in np.ndindex(*errors.shape)
    ]
    # The intervals of the single scores are not looked at: what is tested draws its own.
    return report_on(utterances, model_sha256=model_sha256, dataset_sha256="d" * 64, audio_s=0, wall_s=0, n_resamples=1)
