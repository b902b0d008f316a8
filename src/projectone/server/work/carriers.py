"""Corrections to synthetic sentences: which words they introduced, and somebody to say them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from projectone.server.training import TrainingClip, TrainingConfig
from projectone.server.training.carriers import (
    ANY_LANGUAGE_TEMPLATES,
    ENGLISH_TEMPLATES,
    Correction,
    carrier_clips,
    corrected_terms,
)
from projectone.speech.synthesis import EspeakSynthesizer, Synthesizer


def carriers_for(
    corrections: Iterable[Correction],
    config: TrainingConfig,
    *,
    open_synthesizer: Callable[[str], Synthesizer] = EspeakSynthesizer,
) -> list[TrainingClip]:
    """As many sentences for each corrected word as the config asks for; none if it asks for none.

    Args:
        corrections: What was heard and what was said; those without either teach no word.
        config: How many, in which language, with which seed.
        open_synthesizer: Language to who says them. A new one each time: see `Synthesizer.say`.

    Raises:
        DataError: ``"synthesizer-missing"`` if there is no synthesiser.
    """
    if not config.carriers_per_term:
        return []
    terms = corrected_terms(corrections, language=config.language)
    if not terms:
        return []
    return carrier_clips(
        terms,
        open_synthesizer(config.language),
        templates=ENGLISH_TEMPLATES if config.language == "en" else ANY_LANGUAGE_TEMPLATES,
        n_per_term=config.carriers_per_term,
        seed=config.seed,
    )
