"""Answers that were given before, for the same words or for words that say the same, and for nobody else."""

from projectone.assist.generation.cache.cached import CachedGenerator
from projectone.assist.generation.cache.content import content_of
from projectone.assist.generation.cache.kept_answers import ANSWERS_KEPT, KeptAnswers, Limits

__all__ = ["ANSWERS_KEPT", "CachedGenerator", "KeptAnswers", "Limits", "content_of"]
