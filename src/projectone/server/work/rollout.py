"""`projectone-server rollout`: how far the newest release has gone, what speaks against it, and the brake."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from typing import Any

from projectone.contracts.rollouts import percent_of
from projectone.errors import SettingsError
from projectone.server.corpus.recalls import Recalls
from projectone.server.database import Engine, open_engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.opening import open_publisher
from projectone.server.delivery.publisher import Publisher
from projectone.server.delivery.rollouts import share_shown
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.monitoring.evidence import Finding, Tally, least_devices
from projectone.server.notifications.outbox import Message, NotificationOutbox
from projectone.server.notifications.senders import open_senders
from projectone.server.registry.aliases import HubAliases
from projectone.server.rollout_desk import TURNINGS, Look, finding_shown
from projectone.server.runs import Runs
from projectone.server.settings import ServerSettings
from projectone.server.work.families import add_family, settings_of
from projectone.server.work.handout import name_released, released_models
from projectone.server.work.quarantine import user_name
from projectone.server.work.rollback import roll_back
from projectone.server.work.rollout_watch import RolloutWatch, open_watch

SUMMARY = (
    "How far the newest release has gone, what devices report of it, and the hand on the brake. The worker opens each "
    "stage in its time and stops a release that does harm; PROJECTONE_SERVER_ROLLOUT says in which stages."
)
EXAMPLES = """\
  projectone-server rollout status            who has it, rates with it and without, how far the evidence has come
  projectone-server rollout pause             it stays where it is
  projectone-server rollout resume            it goes on; after a stop, what was reported until now counts no more
  projectone-server rollout advance           the next stage now, if the signed plan allows it by this time
  projectone-server rollout halt              nobody gets it any more; who has it keeps it
  projectone-server rollout rollback          the model before, as a new release, for everybody
  projectone-server rollout watch --once      what the worker does every half minute, for a timer
  projectone-server rollout status --family intents --json"""

ACTIONS = {
    "status": "show it",
    "pause": "let it stay where it is",
    "resume": "let it go on",
    "advance": "open the next stage now",
    "halt": "stop it",
    "rollback": "release the model before again",
    "watch": "judge, widen or stop, until Ctrl-C",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in ACTIONS.items():
        action = actions.add_parser(name, help=summary)
        add_family(action)
        action.add_argument("--json", action="store_true", help="print one JSON object")
        if name == "watch":
            action.add_argument("--once", action="store_true", help="look once, then exit")
            action.add_argument("--interval-s", type=float, default=30.0, help="seconds between two looks (default 30)")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Do it, and say where the release stands then."""
    require_home(settings)
    settings = settings_of(arguments, settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        ledger = Ledger(engine, public_url=settings.public_url, above=settings.release_above)
        outbox = NotificationOutbox(engine)
        senders = open_senders(
            slack_webhook_url=settings.slack_webhook_url,
            smtp_url=settings.smtp_url,
            email_to=settings.email_to,
            log_path=settings.home / "logs" / "notifications.log",
            stream=sys.stderr,
        )

        def notify(message: Message) -> None:
            outbox.add(message, list(senders))
            outbox.flush(senders)

        publisher = open_publisher(settings.home, settings.keys_folder, release_days=settings.release_days)
        watch = open_watch(settings, engine, ledger, publisher, notify)
        found = watch.look() if arguments.action == "watch" else watch.desk.read()
        if arguments.action == "watch" and not arguments.once:
            _watch(watch, arguments.interval_s)
        if arguments.action == "rollback":
            _roll_back(settings, engine, ledger, publisher)
            found = watch.look()
        elif arguments.action in TURNINGS:
            found = watch.desk.turn(arguments.action, by=user_name())
            watch.tell(found.rollout)
    finally:
        engine.dispose()
    print(json.dumps(_facts(found)) if arguments.json else _text(found))
    return 0


def _watch(watch: RolloutWatch, interval_s: float) -> None:
    if not 0.01 <= interval_s <= 86_400:
        raise SettingsError(f"--interval-s: expected 0.01 to 86400 seconds, got {interval_s:g}")
    should_stop = Event()
    try:
        watch.watch(should_stop, print, interval_s=interval_s).join()
    finally:
        should_stop.set()


def _roll_back(settings: ServerSettings, engine: Engine, ledger: Ledger, publisher: Publisher) -> None:
    before = ledger.newest(settings.channel)
    recalls = Recalls(engine, Runs(engine), releases=ledger.manifests, retrain=timedelta(days=settings.retrain_days))
    release = roll_back(
        engine,
        ledger,
        channel=settings.channel,
        by=user_name(),
        now=datetime.now(UTC),
        recalled=recalls.marked,
    )
    if before is not None and release.run_id == before.run_id:
        print(
            f"release {release.manifest.seq} is the way back already: nothing was done; `publish` another model to go "
            "further back",
            file=sys.stderr,
        )
    publisher.publish(lambda: (ledger.newest(settings.channel) or release).tiers.values())
    aliases = HubAliases(settings.hub_endpoint, settings.hub_token or None, settings.hub_repo)
    models = released_models(ledger.releases(settings.channel), settings.hub_repo)
    name_released(aliases, models, release.manifest.version, partial(print, file=sys.stderr))


def _facts(found: Look | None) -> dict[str, Any]:
    if found is None:
        return {"release": None}
    rollout, manifest = found.rollout, found.manifest
    stages = [
        {"percent": percent_of(stage.max_buckets), "not_before": stage.not_before.isoformat()}
        for stage in rollout.plan.stages
    ]
    return {
        "release": {"channel": manifest.channel, "seq": manifest.seq, "version": manifest.version},
        "status": rollout.status,
        "reason": rollout.reason,
        "percent": percent_of(rollout.state.buckets),
        "stage": rollout.stage,
        "stage_began_at": rollout.stage_began_at.isoformat(),
        "stages": stages,
        "devices": dict(found.reported.devices),
        "worse_here": _tally(found.reported.worse_here),
        "metrics": {finding.metric: _metric(finding) for finding in found.judgement.findings},
        "lacks_reports": found.lacks_reports,
        "in_use": found.n_in_use,
        "sees": {f"{usual:g}": factor for usual, factor in found.sees.items()},
        "finds": {"harm_x2_at_1_percent": least_devices(0.01, 2), "harm_x5_at_1_percent": least_devices(0.01, 5)},
    }


def _metric(finding: Finding) -> dict[str, Any]:
    return {
        "treated": _tally(finding.treated),
        "control": _tally(finding.control),
        "log_evidence": round(finding.log_evidence, 3),
        "threshold": round(finding.threshold, 3),
    }


def _tally(tally: Tally) -> dict[str, Any]:
    low, high = tally.interval
    return {"failures": tally.failures, "devices": tally.total, "low": round(low, 5), "high": round(high, 5)}


def _text(found: Look | None) -> str:
    if found is None:
        return "nothing has been released yet"
    rollout, manifest = found.rollout, found.manifest
    lines = [
        f"release     {manifest.version} (number {manifest.seq}, channel {manifest.channel})",
        f"status      {rollout.status}" + (f": {rollout.reason}" if rollout.reason else ""),
        f"open to     {share_shown(rollout)}, since {rollout.stage_began_at:%Y-%m-%d %H:%M} UTC",
    ]
    if found.next_shown is not None:
        lines.append(f"next        {found.next_shown}")
    devices = found.reported.devices
    lines.append(
        f"reports     {devices.get('treated', 0)} devices with it, {devices.get('control', 0)} without, "
        f"{devices.get('canary', 0)} asked for it"
    )
    lines += [f"  {finding_shown(item)}" for item in found.judgement.findings if item.treated.total]
    own = found.reported.worse_here
    if own.total:
        lines.append(f"  kept the model before, which hears their own recordings better: {own.failures} of {own.total}")
    lines += [f"sees        {found.sees_shown}", f"caution     {found.caution}"]
    return "\n".join(lines)
