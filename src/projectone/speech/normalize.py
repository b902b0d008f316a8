"""Texts made comparable before they are scored, after Whisper's own normalisers.

What is kept of Whisper's English normaliser: lower case; remarks in brackets, hesitations and punctuation go;
contractions and titles are written out; diacritics are dropped; "$5", "5%", "3.5" and "1,000,000" stay apart from "5",
and are "five dollars", "five percent", "three point five" and "one million" (`amounts`). Other languages get Whisper's
basic normaliser: lower case, without brackets and symbols; but their marks stay, or the vowels of Hindi or Thai would
count for nothing.

What differs, and costs errors that Whisper's normaliser would not count: numerals become words ("21" is "twenty one"),
because corrections are spoken words, where Whisper turns words into numerals. So a numeral has one reading: "1990" is
"one thousand nine hundred ninety" and not "nineteen ninety", "10000" is read digit by digit (but "10,000" and "$10000"
as amounts), "one oh one" and "a hundred and five" are not "101" and "105", "per cent" is not "percent", "21st" stays as
it is, "$5m" is "5m", and "-5" and "+5" are "five". The table of British spellings is left out.
"""

from __future__ import annotations

import re
import unicodedata

from projectone.speech.amounts import amounts_in_words, number_words

_BRACKETS = re.compile(r"[<\[][^>\]]*[>\]]|\([^)]+?\)")
_HESITATIONS = re.compile(r"\b(hmm|mm|mhm|mmm|uh|um)\b")
_NUMERAL = re.compile(r"(?<![\w.])\d+(?![\w.])")

_WHOLE_WORDS = (
    (r"\bwon't\b", "will not"),
    (r"\bcan't\b", "can not"),
    (r"\blet's\b", "let us"),
    (r"\bain't\b", "aint"),
    (r"\by'all\b", "you all"),
    (r"\bwanna\b", "want to"),
    (r"\bgotta\b", "got to"),
    (r"\bgonna\b", "going to"),
    (r"\bi'ma\b", "i am going to"),
    (r"\bimma\b", "i am going to"),
    (r"\bwoulda\b", "would have"),
    (r"\bcoulda\b", "could have"),
    (r"\bshoulda\b", "should have"),
    (r"\bma'am\b", "madam"),
    (r"\bmr\b", "mister"),
    (r"\bmrs\b", "missus"),
    (r"\bdr\b", "doctor"),
    (r"\bprof\b", "professor"),
)
_ENDINGS = (
    (r"'d (been|gone|done)\b", r" had \1"),
    (r"'s (been|gone|done|got)\b", r" has \1"),
    (r"n't\b", " not"),
    (r"'re\b", " are"),
    (r"'s\b", " is"),
    (r"'d\b", " would"),
    (r"'ll\b", " will"),
    (r"'t\b", " not"),
    (r"'ve\b", " have"),
    (r"'m\b", " am"),
)
# Whole words before the endings that they share ("he's gotta" is "he has got to"); and after them, since an ending may
# leave one ("gonnan't").
_CONTRACTIONS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (*_WHOLE_WORDS, *_ENDINGS, *_WHOLE_WORDS, (_HESITATIONS.pattern, " "))
)
# Letters that Unicode does not take apart into a base and a mark.
_LETTERS = str.maketrans(
    {"œ": "oe", "ø": "o", "æ": "ae", "ß": "ss", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "\u0131": "i"}
)
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'"})


def normalize_text(text: str, *, language: str = "en") -> str:
    """The words of a text, lower case, separated by single blanks; normalising twice changes nothing.

    Args:
        text: A reference or a transcript.
        language: `"en"` for the English rules; any other code for the basic ones.

    Source: whisper/normalizers/english.py and basic.py; the module says where this departs from them.
    """
    # Lower case may be one letter and a mark where there is a letter with that mark: composed once more.
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower()).translate(_APOSTROPHES)
    text = _BRACKETS.sub(" ", text)
    if language != "en":
        return " ".join(_without(text, "SPC").split())
    # First of all: "úm" is a hesitation, and the title in "mr_smith" a word.
    text = _without_diacritics(text).translate(_LETTERS).replace("_", " ")
    text = _HESITATIONS.sub(" ", text)
    text = re.sub(r"\s+'", "'", text)
    for pattern, replacement in _CONTRACTIONS:
        text = pattern.sub(replacement, text)
    text = re.sub(r"(?<=\d),(?=\d)", "", amounts_in_words(text))
    text = _without(text, "MSPC")
    return " ".join(_NUMERAL.sub(lambda match: f" {number_words(match[0])} ", text).split())


def _without_diacritics(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")


def _without(text: str, categories: str) -> str:
    """Blanks in place of the letters of these Unicode categories: marks, symbols, punctuation, control."""
    return "".join(" " if unicodedata.category(letter)[0] in categories else letter for letter in text)
