"""`projectone-server work waiting | approve | veto | judge-again | report`: what a person decides, and on what."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from projectone.server.approvals import Answer, Approval, Approvals
from projectone.server.console.decision_page import render_file
from projectone.server.database import open_engine
from projectone.server.decisions import DecisionReader, find_run, open_approvals
from projectone.server.evaluation.decision import Decision
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.runs import Runs
from projectone.server.settings import ServerSettings
from projectone.server.work.golden import GOLDEN_KEY
from projectone.server.work.quarantine import user_name
from projectone.storage.files import write_atomically

_ANSWERS: Final[dict[str, Answer]] = {"approve": "approved", "veto": "vetoed", "judge-again": "judge-again"}


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
    reporting = actions.add_parser("report", help="what a verdict rests on, as a page to read")
    reporting.add_argument("run", metavar="RUN", help="id of the run, or its beginning")
    reporting.add_argument("--out", metavar="FILE", type=Path, help="where the page goes (HTML, of one file)")
    for action in (waiting, reporting):
        _add_json(action)


def _add_json(action: argparse.ArgumentParser) -> None:
    # The parent has this option, too: a default here would hide what was said there.
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")


def execute_action(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """List what waits, or answer."""
    require_home(settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        approvals, runs = open_approvals(engine, settings.channel), Runs(engine)
        if arguments.action == "waiting":
            facts, text = _list(approvals, runs)
        elif arguments.action == "report":
            reader = DecisionReader(
                engine,
                home=settings.home,
                golden=None if settings.golden is None else Path(settings.golden),
                golden_key=settings.keys_folder / GOLDEN_KEY,
                tiers=settings.tiers,
            )
            decision = reader.read(find_run(runs, arguments.run))
            facts, text = decision.to_json(), in_words(decision)
            if arguments.out is not None:
                write_atomically(arguments.out, render_file(decision).encode())
                text += f"\n\nwritten to {arguments.out}; recordings are heard in `projectone-server console`"
        else:
            run = find_run(runs, arguments.run)
            by = arguments.by or user_name()
            done = approvals.answer(run.run_id, _ANSWERS[arguments.action], by=by, note=arguments.note)
            facts, text = approval_facts(done), f"run {run.run_id}: {done.in_words}; the worker goes on with it"
    finally:
        engine.dispose()
    print(json.dumps(facts) if arguments.json else text)
    return 0


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


def in_words(decision: Decision) -> str:
    """The report in a few lines."""
    lines = [
        f"run        {decision.run_id} ({decision.state})",
        f"verdict    {decision.verdict.decision}, against {decision.production}",
        *(f"           {reason}" for reason in decision.verdict.reasons),
        *(f"person     {told}" for told in decision.approvals),
        f"{decision.wording.items:10} {len(decision.better)} better, {len(decision.worse)} worse, "
        f"{decision.n_same} the same",
    ]
    lines += [
        f"{tier.name[:10]:10} {tier.outcome}"
        + (f", {100 * tier.wer:.1f} % {decision.wording.rate}" if tier.wer is not None else "")
        + (f": {'; '.join(tier.objections)}" if tier.objections else "")
        for tier in decision.tiers
    ]
    lines += [
        f"{item.name[:10]:10} {100 * item.before:5.1f} % -> {100 * item.after:5.1f} %  "
        f"gain {100 * item.gain.value:+.1f} ({100 * item.gain.low:+.1f} to {100 * item.gain.high:+.1f}), "
        f"{item.n_clips} {decision.wording.items}"
        for item in decision.slices
    ]
    return "\n".join(lines)
