"""`projectone-server corpus withdrawals`: what each withdrawal reached: datasets and their manifests, models, dates."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from projectone.contracts.erasures import ErasureReceipt, LearnedRelease
from projectone.errors import DataError
from projectone.server.corpus.erasure import Erasures
from projectone.server.corpus.exports import Export, Exports
from projectone.server.corpus.recalls import Recalls
from projectone.server.database import Engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.memories.withdrawn import account
from projectone.server.runs import Runs
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs

EXAMPLES = """\
  projectone-server corpus withdrawals                    what each reached: snapshots, models, and by when those go
  projectone-server corpus withdrawals 41f0 --json"""

EXIT_DONE, EXIT_LATE = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("consent", nargs="?", default="", metavar="ID", help="only the consents that begin like this")


def execute(
    arguments: argparse.Namespace, settings: ServerSettings, engine: Engine, blobs: FileBlobs
) -> tuple[int, dict[str, Any], str]:
    """List withdrawals, the newest first; 1 if a model is in production past its date.

    Raises:
        DataError: ``withdrawal-unknown`` if no withdrawn consent begins as asked.
    """
    runs, ledger, now = Runs(engine), Ledger(engine), datetime.now(UTC)
    recalls = Recalls(engine, runs, releases=ledger.manifests, retrain=timedelta(days=settings.retrain_days))
    recalls.mark()
    erasures = Erasures(
        engine,
        runs,
        blobs,
        releases=ledger.manifests,
        dates=recalls.dates,
        clock=lambda: now,
        memories=partial(account, engine),
    )
    receipts = [item for item in erasures.receipts() if str(item.receipt_id).startswith(arguments.consent)]
    if arguments.consent and not receipts:
        raise DataError(
            "withdrawal-unknown",
            f"consent {arguments.consent!r}: expected the beginning of one that was withdrawn, found none; "
            "`corpus withdrawals` lists them",
        )
    in_production = {release.manifest.channel: release.manifest.version for release in ledger.releases()}
    late = [release for receipt in receipts for release in receipt.releases if _is_late(release, in_production, now)]
    exports = Exports(engine)
    copies = {receipt.receipt_id: exports.holding(receipt.dataset_sha256s) for receipt in receipts}
    facts: dict[str, Any] = {
        "withdrawals": [receipt.model_dump(mode="json", exclude={"limits", "issued_at"}) for receipt in receipts],
        "copies": {str(number): [str(copy.export_id) for copy in held] for number, held in copies.items() if held},
        "late": sorted({f"{release.channel} {release.version}" for release in late}),
    }
    lines = [line for receipt in receipts for line in (*_lines(receipt), *map(_copy, copies[receipt.receipt_id]))]
    text = "\n".join(lines) or "nobody withdrew a consent yet"
    if late:
        text += f"\nLATE: in production past its date: {', '.join(facts['late'])}; is the worker running?"
    return EXIT_LATE if late else EXIT_DONE, facts, text


def _is_late(release: LearnedRelease, in_production: dict[str, str], now: datetime) -> bool:
    is_used = release.replaced_by is None and in_production[release.channel] == release.version
    return is_used and release.replace_by is not None and release.replace_by < now


def _lines(receipt: ErasureReceipt) -> list[str]:
    done = "complete" if receipt.is_complete else "not complete yet"
    lines = [
        f"{receipt.withdrawn_at:%Y-%m-%d %H:%M}  {receipt.scope}, consent {receipt.receipt_id} of "
        f"{receipt.contributor_id}: {receipt.n_samples} samples erased, {done}"
    ]
    for snapshot in receipt.snapshots:
        again = (
            f"re-issued without them as {snapshot.reissued_as[:12]}" if snapshot.reissued_as else "not re-issued yet"
        )
        lines.append(f"  snapshot {snapshot.snapshot_id[:12]} of {snapshot.made_at:%Y-%m-%d %H:%M}: {again}")
    for release in receipt.releases:
        if release.replaced_by is not None and release.replaced_at is not None:
            what = f"replaced by {release.replaced_by} on {release.replaced_at:%Y-%m-%d}"
        elif release.replace_by is not None:
            what = f"to be replaced by {release.replace_by:%Y-%m-%d %H:%M}"
        else:
            what = "not replaced yet"
        lines.append(f"  model {release.version} ({release.channel}, {release.weights_sha256[:12]}): {what}")
    return lines


def _copy(copy: Export) -> str:
    what = f"{len(copy.withdrawn)} of its {copy.n_samples} samples were withdrawn"
    return f"  copy {str(copy.export_id)[:8]} at {copy.destination}: {what}; `corpus exports --json` lists their ids"
