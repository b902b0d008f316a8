"""The user's own names and words: learned from corrections, or added by hand. They stay on this device."""

from projectone.device.vocabulary.learning import learned_terms
from projectone.device.vocabulary.terms import M013_VOCABULARY, MAX_TERMS, Term, Vocabulary

__all__ = ["M013_VOCABULARY", "MAX_TERMS", "Term", "Vocabulary", "learned_terms"]
