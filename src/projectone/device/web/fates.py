"""What becomes of a recording, in a sentence."""

from __future__ import annotations

from projectone.contracts.audio import MAX_CLIP_S
from projectone.device.library import Fate


def fate_words(fate: Fate, *, is_allowed: bool) -> str:
    """One line under a recording.

    Args:
        fate: Of the recording.
        is_allowed: Whether corrections may be sent now.
    """
    words = _words_of_now(fate, is_allowed=is_allowed)
    if fate.is_to_be_deleted:
        words += " What the server has of it is deleted at the next sync."
    elif fate.is_earlier_there:
        words += " An earlier correction of it is on the server; taking the correction back deletes that too."
    return words


def _words_of_now(fate: Fate, *, is_allowed: bool) -> str:
    if fate.state == "uncorrected":
        if is_allowed and not fate.is_too_long:
            return (
                "This stays on this device. If you correct it, or say that it is right, it is sent: you allowed that."
            )
        return "This stays on this device."
    if fate.state == "waiting":
        return "This will be sent, because you allowed it."
    if fate.state == "sent":
        if fate.left_at is None:
            return "This was sent, because you allowed it."
        day = fate.left_at.astimezone()
        return f"This was sent on {day.day} {day:%B %Y}, because you allowed it."
    if fate.state == "refused":
        return f"This stays on this device: {fate.reason}" if fate.reason else "This stays on this device."
    if fate.others_present:
        return "This stays on this device: somebody else can be heard."
    if fate.is_too_long:
        return f"Your correction is kept on this device. What is longer than {MAX_CLIP_S:g} seconds is not sent."
    if fate.is_silent:
        return "You said that nothing was said. That is kept on this device, and is not sent."
    return "Your correction is kept on this device, and is not sent."
