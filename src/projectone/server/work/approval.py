"""`projectone-server work waiting | approve | veto | judge-again`: what a person decides before a model goes out."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import Any, Final

from projectone.errors import DataError
from projectone.server.approvals import Answer, Approval, Approvals
from projectone.server.database import Engine, open_engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.runs import RunRow, Runs
from projectone.server.settings import ServerSettings
from projectone.server.work.quarantine import user_name

_ANSWERS: Final[dict[str, Answer]] = {"approve": "approved", "veto": "vetoed", "judge-again": "judge-again"}
_ALL_RUNS = 1_000_000


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Declare what may be said to a run that waits; without any of it the worker works."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="decisions of a person")
    waiting = actions.add_parser("waiting", help="runs that wait for a person, and the gate's reasons")
    deciding = {
        "approve": "release the model of a run that waits",
        "veto": "set the model of a run that waits aside",
        "judge-again": "judge it against what is in production now",
    }
    for name, summary in deciding.items():
        action = actions.add_parser(name, help=summary)
        action.add_argument("run", metavar="RUN", help="id of the run, or its beginning")
        action.add_argument("--by", metavar="NAME", help="who decides (default: the user of this process)")
        action.add_argument("--note", metavar="TEXT", help="why; kept with the decision")
        _add_json(action)
    _add_json(waiting)


def _add_json(action: argparse.ArgumentParser) -> None:
    # The parent has this option, too: a default here would hide what was said there.
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")


def execute_action(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """List what waits, or answer."""
    require_home(settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        approvals, runs = open_approvals(engine, settings), Runs(engine)
        if arguments.action == "waiting":
            facts, text = _list(approvals, runs)
        else:
            run = find_run(runs, arguments.run)
            by = arguments.by or user_name()
            done = approvals.answer(run.run_id, _ANSWERS[arguments.action], by=by, note=arguments.note)
            facts, text = approval_facts(done), f"run {run.run_id}: {done.in_words}; the worker goes on with it"
    finally:
        engine.dispose()
    print(json.dumps(facts) if arguments.json else text)
    return 0


def open_approvals(engine: Engine, settings: ServerSettings) -> Approvals:
    """The questions and answers of a server."""
    ledger = Ledger(engine)

    def released() -> str | None:
        newest = ledger.newest(settings.channel)
        return None if newest is None else newest.manifest.weights_sha256

    return Approvals(engine, released=released)


def find_run(runs: Runs, named: str) -> RunRow:
    """The run whose id begins like this.

    Raises:
        DataError: if there is none, or more than one.
    """
    found = [run for run in runs.newest(_ALL_RUNS) if named and run.run_id.startswith(named)]
    if len(found) != 1:
        how_many = "none" if not found else f"{len(found)} of them"
        raise DataError("run-unknown", f"run {named!r}: expected the beginning of one run's id, found {how_many}")
    return found[0]


def approval_facts(approval: Approval) -> dict[str, Any]:
    """A question and its answer as a JSON object."""
    times = {
        name: None if at is None else at.isoformat()
        for name, at in (
            ("asked_at", approval.asked_at),
            ("expires_at", approval.expires_at),
            ("answered_at", approval.answered_at),
        )
    }
    plain = {name: getattr(approval, name) for name in ("answer", "answered_by", "note")}
    return {**vars(approval.question), **plain, **times}


def _list(approvals: Approvals, runs: Runs) -> tuple[dict[str, Any], str]:
    items, lines = [], []
    for approval in approvals.waiting():
        run = runs.get(approval.question.run_id)
        reasons = [] if run.verdict is None else run.verdict["reasons"]
        items.append({**approval_facts(approval), "reasons": reasons})
        left = approval.expires_at - datetime.now(UTC)
        lines += [
            f"{run.run_id}  {approval.question.decision}, {max(0, left.days)} days left",
            *(f"  {reason}" for reason in reasons),
        ]
    return {"waiting": items}, "\n".join(lines) or "nothing waits for a person"
