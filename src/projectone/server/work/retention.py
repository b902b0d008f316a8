"""`projectone-server corpus retention`: how long samples are kept for each purpose, and what is due when."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from projectone.contracts.releases import family_of
from projectone.server.corpus.expiry import Due, Expiry
from projectone.server.database import Engine
from projectone.server.monitoring.quality import KEPT_FOR, KeptSums, QualityCells
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs

EXAMPLES = """\
  projectone-server corpus retention                      what is kept how long, what is due when; 1 if late"""

EXIT_IN_TIME, EXIT_LATE = 0, 1


def execute(
    _arguments: argparse.Namespace, settings: ServerSettings, engine: Engine, _blobs: FileBlobs
) -> tuple[int, dict[str, Any], str]:
    """Show what is due; 1 if the worker should have erased something more than a day ago."""
    now = datetime.now(UTC)
    found = Expiry(engine, settings.keep).due(now)
    sums = QualityCells(engine).kept()
    is_late = any(due.is_late(now) for due in found)
    facts = {
        "purposes": [
            {
                "purpose": due.purpose,
                "keep_days": None if due.keep is None else due.keep.total_seconds() / 86_400,
                "kept": due.n_kept,
                "due": due.n_due,
                "due_within_30_days": due.n_soon,
                "first_due_at": None if due.first_due_at is None else due.first_due_at.isoformat(),
            }
            for due in found
        ],
        "sums": [
            {
                "channel": kept.channel,
                "family": family_of(kept.channel),
                "keep_days": KEPT_FOR.days,
                "reports": kept.n_reports,
                "weeks": kept.n_weeks,
                "oldest_week": kept.oldest_week,
            }
            for kept in sums
        ],
        "is_late": is_late,
    }
    text = "\n".join([*map(_line, found), *map(_sums_line, sums)])
    if is_late:
        text += "\nLATE: samples are here whose time was over more than a day ago; is the worker running?"
    return EXIT_LATE if is_late else EXIT_IN_TIME, facts, text


def _sums_line(kept: KeptSums) -> str:
    return (
        f"{'quality':15} {kept.n_reports:6} reports of {kept.channel} in sums over {kept.n_weeks} weeks from "
        f"{kept.oldest_week} on, each kept {KEPT_FOR.days} days"
    )


def _line(due: Due) -> str:
    if due.keep is None:
        return f"{due.purpose:15} {due.n_kept:6} samples, kept as long as the consent holds"
    line = f"{due.purpose:15} {due.n_kept:6} samples, each kept {due.keep.total_seconds() / 86_400:g} days"
    if due.first_due_at is not None:
        line += (
            f"; {due.n_due} due now, {due.n_soon} more within 30 days, the first at {due.first_due_at:%Y-%m-%d %H:%M}"
        )
    return line
