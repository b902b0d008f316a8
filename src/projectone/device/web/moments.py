"""Moments in the words and the time zone of whoever sits at this machine."""

from __future__ import annotations

from datetime import date, datetime

from markupsafe import Markup


def when_shown(moment: datetime) -> Markup:
    """A `<time>` such as ``22 November 2026, 14:03``."""
    return Markup('<time datetime="{}">{}</time>').format(moment.astimezone().isoformat(), when_words(moment))


def when_words(moment: datetime) -> str:
    """The same inside a sentence."""
    local = moment.astimezone()
    return f"{local.day} {local:%B %Y, %H:%M}"


def day_shown(moment: date) -> Markup:
    """A `<time>` such as ``22 November 2026``, of a moment or of a day that is the same everywhere."""
    day = moment.astimezone().date() if isinstance(moment, datetime) else moment
    return Markup('<time datetime="{}">{} {:%B %Y}</time>').format(day.isoformat(), day.day, day)
