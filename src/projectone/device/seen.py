"""What somebody had before them when they decided: nobody changes what they never saw."""

from __future__ import annotations

from dataclasses import dataclass

from projectone.errors import DataError


@dataclass(frozen=True)
class Seen:
    """The correction of a recording that somebody had before them; None if it had none."""

    corrected_text: str | None


def refuse_unseen(text: str | None, seen: Seen | None) -> None:
    """Two windows, or a window and a terminal: the second does not write over what it never saw.

    Raises:
        DataError: ``corrected-elsewhere``.
    """
    if seen is not None and seen.corrected_text != text:
        found = "its correction was taken back" if text is None else f"it was corrected to {text[:200]!r}"
        raise DataError(
            "corrected-elsewhere", f"meanwhile {found} in another window; open it again to go on from there"
        )
