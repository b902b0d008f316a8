"""Moments in the words and the time zone of whoever sits at this machine."""

from __future__ import annotations

from datetime import datetime

from markupsafe import Markup


def when_shown(moment: datetime) -> Markup:
    """A `<time>` such as ``22 November 2026, 14:03``."""
    local = moment.astimezone()
    return Markup('<time datetime="{}">{} {:%B %Y, %H:%M}</time>').format(local.isoformat(), local.day, local)


def day_shown(moment: datetime) -> Markup:
    """A `<time>` such as ``22 November 2026``."""
    local = moment.astimezone()
    return Markup('<time datetime="{}">{} {:%B %Y}</time>').format(local.date().isoformat(), local.day, local)
