"""`projectone-server corpus`: what was sent, what was decided about it and why, and whether the disk still has it."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

from projectone.contracts.corrections import SampleKind
from projectone.contracts.texts import as_cell, printable
from projectone.errors import DataError, SettingsError
from projectone.server.audit import record
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip, read_sentence
from projectone.server.corpus.history import Histories, KnownSample
from projectone.server.corpus.tables import STATES
from projectone.server.database import Engine, open_engine, writing
from projectone.server.home import open_catalog, require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings
from projectone.server.work import exports, labels, retention, review, snapshots, withdrawals
from projectone.server.work.dossier import Dossiers
from projectone.server.work.quarantine import user_name
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import write_atomically

SUMMARY = "Look into the corpus: which samples there are, why each was kept or discarded, whether the disk is sound."
EXAMPLES = (
    """\
  projectone-server corpus list --state discarded
  projectone-server corpus list --reason no-speech --limit 100
  projectone-server corpus show 7d0c1f9e                  everything about one sample, measured again now
  projectone-server corpus clip 7d0c1f9e --out heard.wav  its sound, opened, to listen to
  projectone-server corpus scrub                          reads every clip and dataset; 1 if one is damaged or missing
  projectone-server corpus review                         what waits for a person, and why; accept or refuse it
  projectone-server corpus show 7d0c1f9e --json
"""
    + snapshots.EXAMPLES
    + "\n"
    + exports.EXAMPLES
    + "\n"
    + withdrawals.EXAMPLES
    + "\n"
    + retention.EXAMPLES
    + "\n"
    + labels.EXAMPLES
)

EXIT_SOUND, EXIT_DAMAGED = 0, 1
_MAX_LISTED = 1_000_000
_ROOMS = {
    **dict.fromkeys(snapshots.ACTIONS, snapshots.execute),
    **dict.fromkeys(exports.ACTIONS, exports.execute),
    **dict.fromkeys(labels.ACTIONS, labels.execute),
    "withdrawals": withdrawals.execute,
    "retention": retention.execute,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="samples, newest first")
    listing.add_argument("--state", choices=STATES, action="append", default=[], help="only these; may be repeated")
    listing.add_argument("--reason", metavar="WORD", help="only those with this reason, such as silence")
    listing.add_argument("--kind", choices=get_args(SampleKind), help="only these")
    listing.add_argument("--person", metavar="NAME", help="only this contributor's (a pseudonym)")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default 20)")
    listing.add_argument("--csv", action="store_true", help="a table for a spreadsheet; no cell of it is a formula")
    showing = actions.add_parser("show", help="one sample: where from, measured how, decided why, used where")
    showing.add_argument("sample", metavar="ID", help="id of the sample, or its beginning")
    fetching = actions.add_parser("clip", help="one sample's sound or sentence, opened, to listen to or to read")
    fetching.add_argument("sample", metavar="ID", help="id of the sample, or its beginning")
    fetching.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a WAV file, or a text; remove it afterwards"
    )
    scrubbing = actions.add_parser("scrub", help="read everything once and compare it with its digest")
    reviewing = actions.add_parser(
        "review",
        help="samples that wait for a person: list, accept, refuse them",
        epilog=f"examples:\n{review.EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    review.add_arguments(reviewing)
    keeping = actions.add_parser("retention", help="how long samples are kept, and what is due when")
    withdrawing = actions.add_parser("withdrawals", help="what each reached, and by when models are replaced")
    withdrawals.add_arguments(withdrawing)
    for action in (
        listing,
        showing,
        fetching,
        scrubbing,
        reviewing,
        keeping,
        withdrawing,
        *snapshots.add_arguments(actions),
        *exports.add_arguments(actions),
        *labels.add_arguments(actions),
    ):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """List, show, scrub or review samples; list, show, verify or prove snapshots."""
    if arguments.action == "list" and not 1 <= arguments.limit <= _MAX_LISTED:
        raise SettingsError(f"--limit: expected 1 to {_MAX_LISTED}, got {arguments.limit}")
    if arguments.action == "snapshot" and arguments.deed == "check":
        code, facts, text = snapshots.check_proof(arguments, settings)
        print(json.dumps(facts) if arguments.json else text)
        return code
    require_home(settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        catalog = open_catalog(settings, engine)
        blobs = FileBlobs(settings.home / "blobs")
        code = EXIT_SOUND
        if arguments.action == "list":
            facts, text = _list(Histories(engine, catalog.vault), arguments)
        elif arguments.action == "show":
            dossiers = Dossiers(engine, catalog, blobs, hold_speakers=settings.hold_speakers)
            dossier = dossiers.open(arguments.sample)
            facts, text = dossier.facts, dossier.text
        elif arguments.action == "clip":
            facts, text = _fetch(engine, catalog, blobs, arguments)
        elif arguments.action in _ROOMS:
            code, facts, text = _ROOMS[arguments.action](arguments, settings, engine, blobs)
        elif arguments.action == "review":
            facts, text = review.execute(arguments, engine, catalog.vault, partial(read_sentence, catalog, blobs))
        else:
            facts, text = _scrub(Histories(engine, catalog.vault), catalog, blobs)
            code = EXIT_DAMAGED if facts["damaged"] or facts["missing"] or facts["changed"] else EXIT_SOUND
    finally:
        engine.dispose()
    print(json.dumps(facts) if arguments.json else text)
    return code


def _list(histories: Histories, arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    samples = histories.newest(
        arguments.limit,
        states=tuple(arguments.state),
        reason=arguments.reason,
        contributor_id=arguments.person,
        kind=arguments.kind,
    )
    facts = [
        {
            "sample_id": str(sample.sample_id),
            "state": sample.state,
            "reason": sample.reason,
            "contributor_id": sample.contributor_id,
            "kind": sample.kind,
            "duration_s": round(sample.duration_s, 3),
            "received_at": sample.received_at.isoformat(),
            "text": sample.text,
        }
        for sample in samples
    ]
    text = _table(facts) if arguments.csv else "\n".join(map(_line, samples)) or "no such sample"
    return {"samples": facts}, text


def _table(facts: Sequence[dict[str, Any]]) -> str:
    """The samples as CSV, every cell in quotes."""
    lines = io.StringIO()
    writer = csv.writer(lines, quoting=csv.QUOTE_ALL, lineterminator="\n")
    columns = ("sample_id", "state", "reason", "contributor_id", "kind", "duration_s", "received_at", "text")
    writer.writerow(columns)
    for item in facts:
        writer.writerow([as_cell("" if item[name] is None else str(item[name])) for name in columns])
    return lines.getvalue().rstrip("\n")


def _line(sample: KnownSample) -> str:
    what = sample.state if sample.reason is None else f"{sample.state}: {sample.reason}"
    when = f"{sample.received_at:%Y-%m-%d %H:%M}"
    text = printable(sample.text or "")
    length = "intent " if sample.kind == "intent" else f"{sample.duration_s:5.1f} s"
    return f"{str(sample.sample_id)[:8]}  {when}  {length}  {what:24}  {text}".rstrip()


def _fetch(
    engine: Engine, catalog: Catalog, blobs: FileBlobs, arguments: argparse.Namespace
) -> tuple[dict[str, Any], str]:
    """Write one payload where the operator can hear or read it: from there on it is theirs to look after."""
    sample = Histories(engine, catalog.vault).tell(arguments.sample).sample
    if sample.clip_sha256 is None:
        raise DataError("erased", f"sample {sample.sample_id}: was erased after a withdrawal; there is nothing to hear")
    clip = read_clip(catalog, blobs, sample.clip_sha256)
    with writing(engine) as connection:  # before anybody can hear it
        record(connection, "clip-opened", sample.sample_id, by=user_name(), now=datetime.now(UTC))
    write_atomically(arguments.out, clip)
    arguments.out.chmod(0o600)
    facts = {"sample_id": str(sample.sample_id), "path": str(arguments.out), "size_bytes": len(clip)}
    what = "the sentence" if sample.kind == "intent" else f"{sample.duration_s:.1f} s"
    return facts, f"{what} of {sample.sample_id} in {arguments.out}; remove it afterwards"


def _scrub(histories: Histories, catalog: Catalog, blobs: FileBlobs) -> tuple[dict[str, Any], str]:
    """Every blob against its digest, every clip that a row names against the store, every text against its seal."""
    named = histories.clips()
    rotten = blobs.scrub()
    # Asked again: a withdrawal may have taken the row and its clip since.
    missing = histories.naming(sha256 for sha256 in named if not blobs.has(sha256))
    holders = histories.naming(rotten)
    facts: dict[str, Any] = {
        "n_blobs": len(list(blobs.keys())),
        "damaged": [_damage(sha256, holders, blobs.path_of(sha256)) for sha256 in rotten],
        "missing": [_damage(sha256, missing, blobs.path_of(sha256)) for sha256 in sorted(missing)],
        "changed": list(map(str, catalog.unopenable())),
    }
    lines = [
        f"{what:8} {item['path']}  {', '.join(item['samples']) or 'a dataset, or nothing that a sample names'}"
        for what in ("damaged", "missing")
        for item in facts[what]
    ]
    lines += [f"changed  the text of {sample_id} is not what was sealed for it" for sample_id in facts["changed"]]
    summary = f"{facts['n_blobs']} blobs: {len(rotten)} damaged, {len(missing)} missing"
    if facts["changed"]:
        summary += f"; {len(facts['changed'])} texts changed"
    if lines:
        summary += "; nothing is trained on a clip that is not what was stored: restore it from a backup, or let it go"
    return facts, "\n".join([*lines, summary])


def _damage(sha256: str, holders: dict[str, list[Any]], path: Path) -> dict[str, Any]:
    return {"sha256": sha256, "path": str(path), "samples": [str(sample_id) for sample_id in holders.get(sha256, [])]}
