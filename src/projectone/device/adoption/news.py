"""What is new in a model, in plain words: from figures that its server signed with the release."""

from __future__ import annotations

from projectone.contracts.releases import ReleaseManifest, ReleaseNotes, family_of
from projectone.contracts.versions import Family

_HOUR_S = 3600


def news_of(manifest: ReleaseManifest) -> list[str]:
    """Sentences for whoever has the release: how well it does, what it learned from, what it replaces.

    A release that says nothing about itself is not guessed about: that is said.
    """
    family, notes = family_of(manifest.channel), manifest.notes
    retired = ["Every model before it is retired, so none is kept to go back to."]
    return [
        *(["Its release does not say what is new in it."] if notes is None else _told(notes, family)),
        *(retired if manifest.min_seq == manifest.seq > 1 else []),
    ]


def _told(notes: ReleaseNotes, family: Family) -> list[str]:
    units, noun = ("words", "model") if family == "speech" else ("sentences", "classifier")
    tested = f"Of {notes.n_words:,} {units} that are kept for testing it gets {_share(notes.n_wrong, notes)} wrong"
    if notes.n_wrong_before is not None and notes.after is not None:
        tested += f"; {noun} {notes.after} got {_share(notes.n_wrong_before, notes)} wrong"
    if not notes.n_samples:
        return [f"{tested}.", "It learned nothing new: it is released as it was."]
    what = "sentences whose meaning people corrected" if family == "intents" else _recordings(notes)
    return [f"{tested}.", f"It learned from {notes.n_samples:,} {what}; {notes.n_new_samples:,} of them are new."]


def _recordings(notes: ReleaseNotes) -> str:
    hours, minutes = notes.audio_s / _HOUR_S, notes.audio_s / 60
    length = f"{hours:.1f} hours" if hours >= 1 else f"{minutes:.0f} minutes" if minutes >= 1.5 else "a minute or less"
    return f"recordings ({length}) that people corrected or read aloud and sent"


def _share(n_wrong: int, notes: ReleaseNotes) -> str:
    return f"{n_wrong / notes.n_words:.1%}".replace("%", " %")
