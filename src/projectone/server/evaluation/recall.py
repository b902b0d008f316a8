"""Can a model's lessons be had from it without the voices that said them? Tried before anybody else can try.

Two questions for each text that only the candidate learned from. Extraction: with no speech in its ears and the first
half of the text in its mouth, does it write the second half word for word? Likelihood: does it find the text likelier
than other orders of the same words? Production, which never saw the texts, answers the same: what can be guessed is no
secret.

*Limits:* who knows the speaker's voice may get more; texts of fewer than four words are not tried. Measured,
not promised: the figures stand in the verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from projectone.contracts.evidence import Recall
from projectone.server.evaluation.probes import probes
from projectone.speech.audio import log_mel
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.forced import audio_features, forced_scores
from projectone.speech.logit_rules import logsumexp
from projectone.speech.normalize import normalize_text
from projectone.speech.prefix import decoder_prefix

MOST_TEXTS = 64
FEWEST_WORDS = 4
_N_ORDERS = 4
_SOUNDS = ("silence", "pink-noise-low")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Trial:
    """One text: what is given of it, and other orders of its words."""

    text: str
    opening: str
    orders: tuple[str, ...]


def measure_recall(
    production: WhisperCheckpoint, candidate: WhisperCheckpoint, texts: Iterable[str], *, language: str = "en"
) -> Recall:
    """What the candidate gives away of texts that it learned from and production did not.

    Args:
        production: The model that never saw them.
        candidate: The model that learned from them.
        texts: As they were written; at most `MOST_TEXTS` of those that are long enough are tried.
        language: Of the texts.
    """
    trials = _trials(texts, language)
    answers = [
        [_ask(listener, trial) for trial in trials] for listener in _listeners((production, candidate), language)
    ]
    by_production, by_candidate = ([told for told, _ in side] for side in answers)
    both = [before and after for before, after in zip(by_production, by_candidate, strict=True)]
    areas = [float(np.mean([area for _, area in side])) if trials else 0.5 for side in answers]
    return Recall(
        n_texts=len(trials),
        n_told=sum(by_candidate),
        n_told_by_production=sum(both),
        auc=areas[1],
        auc_of_production=areas[0],
    )


def _trials(texts: Iterable[str], language: str) -> list[_Trial]:
    unique = {normalize_text(text, language=language): text.strip() for text in texts}
    long = [text for words, text in unique.items() if len(words.split()) >= FEWEST_WORDS and len(text.split()) > 1]
    drawn = sorted(long, key=lambda text: hashlib.sha256(text.encode()).digest())[:MOST_TEXTS]
    return [_Trial(text, " ".join(text.split()[: len(text.split()) // 2]), _orders(text)) for text in drawn]


def _orders(text: str) -> tuple[str, ...]:
    """The same words in other orders, the same ones for every model."""
    words = text.split()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")))
    drawn = (" ".join(words[place] for place in random.permutation(len(words))) for _ in range(4 * _N_ORDERS))
    return tuple(dict.fromkeys(order for order in drawn if order != text))[:_N_ORDERS]


@dataclass(frozen=True)
class _Listener:
    """A model that has heard sounds without speech."""

    checkpoint: WhisperCheckpoint
    prefix: list[int]
    heard: Sequence[Floats]

    def shares(self, text: str, features: Floats) -> tuple[list[int], Floats]:
        """The tokens of a text, and for each of them the logarithms of what the model would write in its place."""
        tokens = self.checkpoint.tokenizer.encode(f" {text}")
        room = self.checkpoint.dims.n_text_ctx - len(self.prefix)
        tokens = tokens[:room]
        scores, _ = forced_scores(self.checkpoint, np.array([*self.prefix, *tokens], np.int32), features)
        # Text or its end: special tokens and timestamps are none of its words.
        said = scores[len(self.prefix) - 1 : -1, : self.checkpoint.tokenizer.eot + 1]
        return tokens, said - logsumexp(said)[:, None]


def _listeners(models: Sequence[WhisperCheckpoint], language: str) -> list[_Listener]:
    sounds = [probe.samples for probe in probes() if probe.name in _SOUNDS]
    made = []
    for model in models:
        padded = [np.pad(sound, (0, max(0, model.features.n_samples - sound.size))) for sound in sounds]
        heard = [
            audio_features(model, log_mel(sound[: model.features.n_samples], model.dims.n_mels)) for sound in padded
        ]
        code = language if model.tokenizer.is_multilingual else None
        made.append(_Listener(model, decoder_prefix(model.tokenizer, language=code, timestamps=False), heard))
    return made


def _ask(listener: _Listener, trial: _Trial) -> tuple[bool, float]:
    """Whether the text is told, and the share of other orders of its words that are less likely."""
    n_given = len(listener.checkpoint.tokenizer.encode(f" {trial.opening}"))
    answers = [listener.shares(trial.text, features) for features in listener.heard]
    # Greedy decoding writes the rest exactly if each of its tokens is the likeliest after the true ones before it.
    is_told = any(
        bool((shares[n_given:].argmax(axis=-1) == np.array(tokens[n_given:])).all()) for tokens, shares in answers
    )
    likelihood = _mean(*answers[0])
    wins = [likelihood > _mean(*listener.shares(order, listener.heard[0])) for order in trial.orders]
    return is_told, float(np.mean(wins)) if wins else 0.5


def _mean(tokens: Sequence[int], shares: Floats) -> float:
    return float(shares[np.arange(len(tokens)), np.array(tokens)].mean())
