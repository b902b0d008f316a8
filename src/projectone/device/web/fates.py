"""What becomes of a recording, in a sentence."""

from __future__ import annotations

from projectone.device.library import Fate


def fate_words(fate: Fate, *, is_allowed: bool) -> str:
    """One line under a recording.

    Args:
        fate: Of the recording.
        is_allowed: Whether corrections may be sent now.
    """
    if fate.state == "uncorrected":
        if is_allowed:
            return "This stays on this device. If you correct it, it will be sent, because you allowed that."
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
    return "Your correction is kept on this device, and is not sent."
