"""Words with their times as subtitles: SubRip (.srt) and WebVTT (.vtt), which every player and editor reads.

The measures are those that broadcasters agree on: two lines of 42 letters, no more than seven seconds at once, long
enough to be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from projectone.device.heard import Word

LINE_LETTERS: Final = 42
_LINES: Final = 2
_LONGEST_S: Final = 7.0
_SHORTEST_S: Final = 0.8
_PAUSE_S: Final = 0.8  # who is silent for so long begins anew
_SENTENCE_ENDS: Final = frozenset(".!?。！？…")  # noqa: RUF001 - full-width marks end sentences too


@dataclass(frozen=True)
class Cue:
    """What is shown at once."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def cues_of(words: Sequence[Word]) -> list[Cue]:
    """The words in as few cues as are pleasant to read: none goes on over a pause or past the end of a sentence.

    Args:
        words: In order.
    """
    groups: list[list[Word]] = []
    for word in words:
        if not groups or _begins_anew(groups[-1], word):
            groups.append([])
        groups[-1].append(word)
    cues = []
    for index, group in enumerate(groups):
        following_s = groups[index + 1][0].start_s if index + 1 < len(groups) else float("inf")
        # A short word is shown long enough to be read, but not over the next one.
        end_s = max(group[-1].end_s, min(group[0].start_s + _SHORTEST_S, following_s))
        cues.append(Cue(group[0].start_s, end_s, _lines([word.text for word in group])))
    return cues


def to_srt(words: Sequence[Word]) -> str:
    """The contents of an `.srt` file; empty if nothing was said."""
    blocks = [
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n" + "\n".join(cue.lines) + "\n"
        for number, cue in enumerate(cues_of(words), start=1)
    ]
    return "\n".join(blocks)


def to_vtt(words: Sequence[Word]) -> str:
    """The contents of a `.vtt` file."""
    blocks = [
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n" + "\n".join(map(_escaped, cue.lines)) + "\n"
        for cue in cues_of(words)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _begins_anew(group: list[Word], word: Word) -> bool:
    last = group[-1]
    is_over = last.text[-1:] in _SENTENCE_ENDS and len(" ".join(item.text for item in group)) > LINE_LETTERS / 2
    is_long = word.end_s - group[0].start_s > _LONGEST_S
    is_full = len(_lines([item.text for item in [*group, word]])) > _LINES
    return is_over or is_long or is_full or word.start_s - last.end_s >= _PAUSE_S


def _lines(texts: Sequence[str]) -> tuple[str, ...]:
    """As few lines as hold the texts; a longer text has a line of its own."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + 1 + len(text) <= LINE_LETTERS:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return tuple(lines)


def _clock(moment_s: float, point: str) -> str:
    """Hours, minutes, seconds and milliseconds."""
    total_ms = round(moment_s * 1000)
    minutes, ms = divmod(total_ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}{point}{ms % 1000:03}"


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
