"""Which words of a correction are worth remembering.

What counts: a word that was put in the place of others, and that is a name (it has a capital letter or a digit in it)
or is not among the everyday words of the language; several such words in a row are also remembered as one phrase; a row
of single letters, three at least, is a spelled name and is remembered whole. What does not count: everyday and number
words, words of one or two small letters, words that were heard as they are, and a sentence that was written anew.
"""

from __future__ import annotations

from difflib import SequenceMatcher

MAX_TERM_CHARACTERS = 80
MAX_LEARNED = 6
"""Of one correction: whoever changes more than that did not correct a name."""

_MAX_BLOCK = 6
_MAX_PHRASE = 4
_MIN_SMALL_LETTERS = 3
_MIN_SPELLED = 3
_OUTER = "\"'.,;:!?()[]{}«»“”„…-"

# The most frequent words of English speech, numbers, days and months: whatever a model knows anyway.
_EVERYDAY_WORDS = """
a about above across actually after again against ago ah all almost along already also although always am among an and
another any anybody anyone anything anyway are aren't around as ask asked at away back bad be because become been
before began behind being believe below better between big bit both boy bring but buy by bye call called came can can't
cannot car care case change child children city come comes coming could couldn't country course day days deal did didn't
different do does doesn't dog doing don't done door down during each early either else end enough even evening ever
every everybody everyone everything example eye eyes face fact family far father feel few find fine food for friend
friends from full fun game gave get gets getting girl give given go goes going gone gonna good got great group guess
guy guys had hair half hand hands happen happened happy hard has hasn't have haven't having he he'd he'll he's head hear
heard hello help her here hers herself hey hi high him himself his hold home hope hour hours house how however i i'd
i'll i'm i've idea if important in inside instead into is isn't it it's its itself job just keep kept kind knew know
known large last late later least leave left less let let's letter life like line little live long look looked looking
lot love made make makes making man many may maybe me mean means meant meet men might mind mine minute minutes miss
moment money month months more morning most mother move much music must my myself name near need needs never new news
next nice night no nobody none not nothing now number of off office often oh ok okay old on once only open or order
other others our ours ourselves out outside over own part people perhaps person phone place plan play please point
possible pretty probably problem put question quite rather read ready real really reason remember rest right room run
said same saw say saying says school second see seem seemed seen send sent set several shall she she'd she'll she's
should shouldn't show side since sir small so some somebody someone something sometimes soon sorry sort sound speak
start started state stay still stop story such sure take taken takes talk talking tell than thank thanks that that's the
their theirs them themselves then there there's therefore these they they'd they'll they're they've thing things think
this those though thought through time times to today together told tomorrow tonight too took toward town true try
trying turn turned turns two under understand until up upon us use used using usually very voice wait walk walked want
wanted wants was wasn't watch water way we we'd we'll we're we've week weeks well went were weren't what what's whatever
when where whether which while who who's whole whom whose why will wish with within without woman women won't word words
work working works world would wouldn't write written wrong yeah year years yes yesterday yet you you'd you'll you're
you've young your yours yourself
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion first second third
fourth fifth sixth seventh eighth ninth tenth eleventh twelfth point percent half quarter dozen
monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december
"""
_EVERYDAY = frozenset(_EVERYDAY_WORDS.split())


def learned_terms(heard: str, corrected: str) -> list[str]:
    """The terms that a correction teaches, in the order in which they are said.

    Args:
        heard: What the model wrote.
        corrected: What was really said.
    """
    before, after = heard.split(), corrected.split()
    found: dict[str, str] = {}
    for kind, h1, h2, c1, c2 in SequenceMatcher(
        None, [bare(word) for word in before], [bare(word) for word in after], autojunk=False
    ).get_opcodes():
        if kind == "equal" or c1 == c2:
            continue
        for first, end in _spelled(after, c1, c2):
            _add(found, after[first:end])
        # A word that was left out altogether was not misheard; a long stretch is a sentence written anew.
        if kind != "replace" or max(h2 - h1, c2 - c1) > _MAX_BLOCK:
            continue
        for first, end in _rows_of_names(after, c1, c2):
            if 1 < end - first <= _MAX_PHRASE:
                _add(found, after[first:end])
            for index in range(first, end):
                _add(found, after[index : index + 1])
    return [] if len(found) > MAX_LEARNED else list(found.values())


def bare(word: str) -> str:
    """A word as it is compared: without outer punctuation, in small letters."""
    return word.strip(_OUTER).casefold()


def occurrences(term: str, text: str) -> int:
    """How often a term stands in a text, as whole words."""
    wanted = [bare(word) for word in term.split()]
    words = [bare(word) for word in text.split()]
    n = len(wanted)
    return sum(words[at : at + n] == wanted for at in range(len(words) - n + 1)) if n else 0


def _add(found: dict[str, str], words: list[str]) -> None:
    term = " ".join(word.strip(_OUTER) for word in words)
    if len(term) <= MAX_TERM_CHARACTERS:
        found.setdefault(term.casefold(), term)


def _spelled(words: list[str], first: int, end: int) -> list[tuple[int, int]]:
    """Rows of single letters that reach into words[first:end], whole."""
    rows, at = [], 0
    while at < len(words):
        last = at
        while last < len(words) and _is_letter(words[last]):
            last += 1
        if last - at >= _MIN_SPELLED and at < end and first < last:
            rows.append((at, last))
        at = max(last, at + 1)
    return rows


def _is_letter(word: str) -> bool:
    letter = bare(word)
    return len(letter) == 1 and letter.isalpha()


def _rows_of_names(words: list[str], first: int, end: int) -> list[tuple[int, int]]:
    """Rows of words in words[first:end] that are worth remembering."""
    rows, at = [], first
    while at < end:
        last = at
        while last < end and _is_worth_it(words[last]):
            last += 1
        if last > at:
            rows.append((at, last))
        at = max(last, at + 1)
    return rows


def _is_worth_it(word: str) -> bool:
    stripped = word.strip(_OUTER)
    n_letters, has_digit = sum(map(str.isalpha, stripped)), any(map(str.isdigit, stripped))
    if stripped.casefold() in _EVERYDAY or not n_letters:
        return False
    is_name = has_digit or (n_letters > 1 and stripped != stripped.lower())
    return is_name or n_letters >= _MIN_SMALL_LETTERS
