"""Whether the letters of a text are those of its language. A word that mixes alphabets looks right and is another."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

_JAPANESE = frozenset({"HIRAGANA", "KATAKANA", "CJK"})

# ISO 639-1 (or -3) codes of the languages that are not written in Latin letters, as Whisper knows them.
_OTHER: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("ru", "uk", "be", "bg", "mk", "kk", "ky", "mn", "tg", "tt", "ba"), frozenset({"CYRILLIC"})),
    **dict.fromkeys(("ar", "fa", "ur", "ps", "sd", "ckb"), frozenset({"ARABIC"})),
    **dict.fromkeys(("he", "yi"), frozenset({"HEBREW"})),
    **dict.fromkeys(("hi", "mr", "ne", "sa"), frozenset({"DEVANAGARI"})),
    **dict.fromkeys(("bn", "as"), frozenset({"BENGALI"})),
    **dict.fromkeys(("sr", "uz", "az", "tk"), frozenset({"CYRILLIC", "LATIN"})),
    "el": frozenset({"GREEK"}),
    "pa": frozenset({"GURMUKHI"}),
    "gu": frozenset({"GUJARATI"}),
    "ta": frozenset({"TAMIL"}),
    "te": frozenset({"TELUGU"}),
    "kn": frozenset({"KANNADA"}),
    "ml": frozenset({"MALAYALAM"}),
    "si": frozenset({"SINHALA"}),
    "th": frozenset({"THAI"}),
    "lo": frozenset({"LAO"}),
    "my": frozenset({"MYANMAR"}),
    "km": frozenset({"KHMER"}),
    "bo": frozenset({"TIBETAN"}),
    "ka": frozenset({"GEORGIAN"}),
    "hy": frozenset({"ARMENIAN"}),
    "am": frozenset({"ETHIOPIC"}),
    "ja": _JAPANESE,
    **dict.fromkeys(("zh", "yue"), frozenset({"CJK", "BOPOMOFO"})),
    "ko": frozenset({"HANGUL", "CJK"}),
}
_LATIN = frozenset({"LATIN"})
# Written without spaces between words, or with endings right behind a foreign name.
_UNSPACED = frozenset({"HIRAGANA", "KATAKANA", "CJK", "HANGUL", "THAI", "LAO", "MYANMAR", "KHMER", "TIBETAN"})
_WIDTHS = ("FULLWIDTH", "HALFWIDTH")


def alphabets_of(language: str) -> frozenset[str]:
    """The alphabets that a language is written in, by the first word of their letters' Unicode names."""
    return _OTHER.get(language, _LATIN)


def has_foreign_letters(text: str, language: str) -> bool:
    """Whether a text is not written as its language is.

    So it is if a word mixes alphabets that the language does not mix, if a word is in a foreign one that is not Latin,
    or if no word is in the language's own. Names in Latin letters are at home in every language.

    Args:
        text: In NFC, as `clean_transcript` gives it.
        language: Its ISO 639 code.
    """
    own = alphabets_of(language)
    if text.isascii() and own >= _LATIN:
        return False
    found = [alphabets for word in text.split() if (alphabets := {_alphabet(c) for c in word} - {""})]
    mixed = own | _LATIN if own & _UNSPACED else own
    if any(alphabets - mixed and alphabets != _LATIN for alphabets in found):
        return True
    return bool(found) and not any(alphabets & own for alphabets in found)


@lru_cache(maxsize=4096)
def _alphabet(character: str) -> str:
    """The alphabet of a letter; nothing for marks, digits, signs and letters that serve in all of them."""
    category = unicodedata.category(character)
    if category[0] != "L" or category == "Lm" or character in "ªºµ":
        return ""
    words = unicodedata.name(character, "UNKNOWN").replace("-", " ").split()
    return words[1] if words[0] in _WIDTHS and len(words) > 1 else words[0]
