"""Personal data out of a text and back into the answer: what is found is replaced before anything leaves."""

from projectone.assist.generation.masking.forms import Kind, Span, spans
from projectone.assist.generation.masking.mask import Mask
from projectone.assist.generation.masking.masked import MaskedGenerator

__all__ = ["Kind", "Mask", "MaskedGenerator", "Span", "spans"]
