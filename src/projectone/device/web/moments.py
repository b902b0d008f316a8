"""Moments in the words and the time zone of whoever sits at this machine."""

from __future__ import annotations

from datetime import date, datetime

from markupsafe import Markup


def when_shown(moment: datetime) -> Markup:
    """A `<time>` such as ``22 November 2026, 14:03``."""
    local = moment.astimezone()
    return Markup('<time datetime="{}">{} {:%B %Y, %H:%M}</time>').format(local.isoformat(), local.day, local)


def day_shown(moment: date) -> Markup:
    """A `<time>` such as ``22 November 2026``, of a moment or of a day that is the same everywhere."""
    day = moment.astimezone().date() if isinstance(moment, datetime) else moment
    return Markup('<time datetime="{}">{} {:%B %Y}</time>').format(day.isoformat(), day.day, day)
