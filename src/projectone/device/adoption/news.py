"""What is new in a model, in plain words: from figures that its server signed with the release."""

from __future__ import annotations

from typing import Final

from projectone.contracts.releases import NotedRelease, ReleaseNotes, family_of
from projectone.contracts.texts import printable
from projectone.contracts.versions import Family

_MINUTE_S, _HOUR_MIN = 60, 60
_WORDS: Final[dict[Family, tuple[str, str]]] = {
    "speech": ("word", "model"),
    "intents": ("sentence", "classifier"),
    "safety": ("text", "safety classifier"),
}


def news_of(release: NotedRelease) -> list[str]:
    """Sentences for whoever has the release: how well it does, what it learned from, what it replaces.

    A release that says nothing about itself is not guessed about: that is said.
    """
    family, notes = family_of(release.channel), release.notes
    retired = ["Every model before it is retired, so none is kept to go back to."]
    told = ["Its release does not say what is new in it."] if notes is None else _told(notes, family)
    return [printable(line) for line in (*told, *(retired if release.min_seq == release.seq > 1 else []))]


def _told(notes: ReleaseNotes, family: Family) -> list[str]:
    unit, noun = _WORDS[family]
    kept = f"{_counted(notes.n_words, unit)} that {'is' if notes.n_words == 1 else 'are'} kept for testing"
    tested = f"Of {kept} it gets {_share(notes.n_wrong, notes)} wrong"
    if notes.n_wrong_before is not None and notes.after is not None:
        tested += f"; {noun} {notes.after} got {_share(notes.n_wrong_before, notes)} wrong"
    if family == "safety":
        return [f"{tested}.", "It was taught from texts that whoever runs the server chose; nothing of yours is in it."]
    if not notes.n_samples:
        return [f"{tested}.", "It learned nothing new: it is released as it was."]
    if family == "intents":
        what = f"{_counted(notes.n_samples, 'sentence')} whose meaning people corrected"
    else:
        what = f"{_counted(notes.n_samples, 'recording')} ({_length(notes.audio_s)})"
        what += " that people corrected or read aloud and sent"
    return [f"{tested}.", f"It learned from {what}; {_new(notes)}."]


def _new(notes: ReleaseNotes) -> str:
    if notes.n_samples == 1:
        return "it is new" if notes.n_new_samples else "it is not new"
    if notes.n_new_samples == 0:
        return "none of them is new"
    return f"{notes.n_new_samples:,} of them {'is' if notes.n_new_samples == 1 else 'are'} new"


def _length(audio_s: float) -> str:
    """Minutes, or hours from the first full one on, to the nearest."""
    minutes = round(audio_s / _MINUTE_S)
    if audio_s < _MINUTE_S:
        return "less than a minute"
    if minutes < _HOUR_MIN:
        return _counted(minutes, "minute")
    hours = f"{audio_s / _MINUTE_S / _HOUR_MIN:,.1f}".removesuffix(".0")
    return "1 hour" if hours == "1" else f"{hours} hours"


def _counted(n: int, unit: str) -> str:
    return f"{n:,} {unit}" if n == 1 else f"{n:,} {unit}s"


def _share(n_wrong: int, notes: ReleaseNotes) -> str:
    if n_wrong > notes.n_words:  # words that nobody said count as wrong, too
        return "over 100 %"
    return f"{n_wrong / notes.n_words:.1%}".replace("%", " %")
