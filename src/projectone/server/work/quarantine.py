"""`projectone-server quarantine`: what was set aside and why; samples that turn out to be sound go back."""

from __future__ import annotations

import argparse
import json
import os
import pwd
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from projectone.contracts.texts import printable
from projectone.errors import DataError, SettingsError
from projectone.server.corpus.quarantined import Quarantined, Return
from projectone.server.corpus.tables import SampleRow
from projectone.server.corpus.vault import Vault
from projectone.server.database import Engine, open_engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.home import open_keys, require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.pipeline.evaluate import VERDICT
from projectone.server.pipeline.state import EVALUATION
from projectone.server.runs import Effects, RunRow, Runs
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs

SUMMARY = "List and show what was set aside; return samples that turned out to be sound."
EXAMPLES = """\
  projectone-server quarantine list
  projectone-server quarantine show 3f2a91c0              samples with their texts and clips, verdict, files
  projectone-server quarantine return 3f2a91c0 --reason "listened to all of them"
  projectone-server quarantine return 3f2a91c0 --sample 7d0c1f9e-5a7c-4f6e-9d62-0f2c8f1a7b11
  projectone-server quarantine list --json

What is returned waits for the next run (`projectone-server run` asks for one). What was withdrawn since is erased and
does not come back."""

_ALL_RUNS = 1_000_000
_MAX_REASON_CHARACTERS = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="runs in quarantine, newest first")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default 20)")
    showing = actions.add_parser("show", help="one run: verdict, samples, files, what was returned")
    returning = actions.add_parser("return", help="let a run's samples wait for the next run again")
    for with_run in (showing, returning):
        with_run.add_argument("run", metavar="RUN", help="id of the run, or its beginning")
    returning.add_argument("--reason", metavar="TEXT", help="why; kept with the decision")
    returning.add_argument("--by", metavar="NAME", help="who decides (default: the user of this process)")
    returning.add_argument(
        "--sample", type=UUID, action="append", default=[], metavar="ID", help="only this one; may be repeated"
    )
    for action in (listing, showing, returning):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """List, show or return."""
    if arguments.action == "list" and not 1 <= arguments.limit <= _ALL_RUNS:
        raise SettingsError(f"--limit: expected 1 to {_ALL_RUNS}, got {arguments.limit}")
    require_home(settings)
    engine = open_engine(settings.database_url)
    keys = open_keys(settings, can_open=True)
    try:
        upgrade_database(engine)
        ward = _Ward(engine, Vault(keys), settings.home)
        if arguments.action == "list":
            facts, text = ward.list_runs(arguments.limit)
        elif arguments.action == "show":
            facts, text = ward.show(arguments.run)
        else:
            facts, text = ward.give_back(arguments)
    finally:
        keys.close()
        engine.dispose()
    print(json.dumps(facts) if arguments.json else text)
    return 0


class _Ward:
    """What the three actions share."""

    def __init__(self, engine: Engine, vault: Vault, home: Path) -> None:
        self._home = home
        self._blobs = FileBlobs(home / "blobs")
        self._quarantined = Quarantined(engine, vault)
        self._runs = Runs(engine)
        self._effects = Effects(engine, guard=lambda connection: None)  # it is only read here
        releases = Ledger(engine).releases()
        self._versions = {release.manifest.weights_sha256: release.manifest.version for release in releases}

    def list_runs(self, limit: int) -> tuple[dict[str, Any], str]:
        """The newest runs that were set aside or still hold samples."""
        counts = self._quarantined.counts()
        returns = self._quarantined.returns()
        found = [run for run in self._runs.newest(_ALL_RUNS) if run.state == "quarantined" or run.run_id in counts]
        facts = [self._facts(run, counts, returns) for run in found[:limit]]
        lines = [
            f"{item['run_id'][:8]}  {(item['ended_at'] or '')[:16].replace('T', ' '):16}  "
            f"{item['n_samples']:5} samples  against {item['judged_against'] or '-':8}  {item['reason'] or ''}"
            + (f"  ({item['n_returned']} returned)" if item["n_returned"] else "")
            for item in facts
        ]
        return {"runs": facts}, "\n".join(map(printable, lines)) or "nothing is in quarantine"

    def show(self, named: str) -> tuple[dict[str, Any], str]:
        """Everything that helps to judge one run."""
        run = self._find(named)
        samples = self._quarantined.samples(run.run_id)
        returns = [item for item in self._quarantined.returns() if item.run_id == run.run_id]
        folder = self._home / "quarantine" / run.run_id
        files = sorted(str(path) for path in folder.rglob("*") if path.is_file())
        facts = self._facts(run, {run.run_id: len(samples)}, returns)
        facts |= {
            "verdict": run.verdict,
            "files": files,
            "samples": [self._sample_facts(sample) for sample in samples],
            "returns": [_return_facts(item) for item in returns],
        }
        lines = [
            f"run       {run.run_id} ({run.state})",
            f"reason    {run.reason or ''}",
            f"against   {facts['judged_against'] or 'nothing: it was not judged'}",
            f"files     {folder if files else 'none'}",
            *(f"returned  {_return_line(item)}" for item in returns),
            f"samples   {len(samples)}",
            *(f"  {sample.sample_id}  {_length(sample)}  {sample.text}" for sample in samples),
        ]
        if samples:
            lines.append("          to listen: projectone-server corpus clip ID --out FILE (the clips are sealed)")
        return facts, "\n".join(map(printable, lines))

    def give_back(self, arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
        """Return samples and say what follows."""
        run = self._find(arguments.run)
        reason = None if arguments.reason is None else arguments.reason.strip()[:_MAX_REASON_CHARACTERS] or None
        done = self._quarantined.give_back(
            run.run_id,
            by=arguments.by or user_name(),
            reason=reason,
            now=datetime.now(UTC),
            sample_ids=arguments.sample,
        )
        text = f"{done.n_samples} samples wait for the next run; `projectone-server run` asks for one now"
        return _return_facts(done), text

    def _find(self, named: str) -> RunRow:
        runs = [run for run in self._runs.newest(_ALL_RUNS) if named and run.run_id.startswith(named)]
        if len(runs) != 1:
            found = "none" if not runs else f"{len(runs)} of them"
            message = f"run {named!r}: expected the beginning of one run's id, found {found}; see `list`"
            raise DataError("run-unknown", message)
        return runs[0]

    def _facts(self, run: RunRow, counts: dict[str, int], returns: Sequence[Return]) -> dict[str, Any]:
        judged = self._effects.find(run.run_id, EVALUATION, VERDICT)
        against = None if judged is None else self._versions.get(judged["production_sha256"], "base")
        return {
            "run_id": run.run_id,
            "state": run.state,
            "reason": run.reason,
            "ended_at": None if run.finished_at is None else run.finished_at.isoformat(),
            "model_sha256": run.candidate_sha256,
            "judged_against": against,
            "n_samples": counts.get(run.run_id, 0),
            "n_returned": sum(item.n_samples for item in returns if item.run_id == run.run_id),
        }

    def _sample_facts(self, sample: SampleRow) -> dict[str, Any]:
        plain = asdict(sample)
        clip: Path = self._blobs.path_of(sample.clip_sha256)
        return {
            **{name: plain[name] for name in ("contributor_id", "kind", "text", "heard", "duration_s", "reason")},
            "sample_id": str(sample.sample_id),
            "received_at": sample.received_at.isoformat(),
            "clip": str(clip),
        }


def _return_facts(done: Return) -> dict[str, Any]:
    return {**asdict(done), "returned_at": done.returned_at.isoformat()}


def _length(sample: SampleRow) -> str:
    return "intent " if sample.kind == "intent" else f"{sample.duration_s:5.1f} s"


def _return_line(done: Return) -> str:
    why = f": {done.reason}" if done.reason else ""
    return f"{done.n_samples} samples on {done.returned_at:%Y-%m-%d %H:%M} by {done.returned_by}{why}"


def user_name() -> str:
    """Who runs this process, by name where the system knows one."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
