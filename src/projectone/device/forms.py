"""A recording as a file for other programs: its text, or subtitles; as corrected, where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from projectone.device.heard import Word
from projectone.device.recordings import Recording
from projectone.device.retimed import retimed
from projectone.device.subtitles import to_srt, to_vtt


def words_now(recording: Recording) -> Sequence[Word]:
    """What was said, as far as anybody knows, with times."""
    if recording.corrected_text is None:
        return recording.words
    return retimed(recording.words, recording.corrected_text)


FORMS: Final[dict[str, Callable[[Recording], str]]] = {
    "srt": lambda recording: to_srt(words_now(recording)),
    "vtt": lambda recording: to_vtt(words_now(recording)),
    "txt": lambda recording: f"{recording.text if recording.corrected_text is None else recording.corrected_text}\n",
}
