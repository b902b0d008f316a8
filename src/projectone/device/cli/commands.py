"""What each word of `projectone` does: arguments in, facts and a text out."""

from __future__ import annotations

import argparse

from projectone.device.cli.answers import ANSWER, ANSWERS
from projectone.device.cli.ask import ASK
from projectone.device.cli.consents import CONSENT
from projectone.device.cli.cues import CUES, SOUND
from projectone.device.cli.donations import DONATE
from projectone.device.cli.editor import edited, require_terminal
from projectone.device.cli.harmless import HARMLESS
from projectone.device.cli.health import HEALTH, turn_shown
from projectone.device.cli.memory import MEMORY
from projectone.device.cli.model import MODEL, UPDATE
from projectone.device.cli.policies import POLICIES
from projectone.device.cli.progress import ProgressLine
from projectone.device.cli.quality import QUALITY
from projectone.device.cli.record import RECORD
from projectone.device.cli.recordings import RECORDINGS
from projectone.device.cli.results import Command, Result, add_others_present, kept_result
from projectone.device.cli.sent import SENT, UNDO
from projectone.device.cli.transcribe import TRANSCRIBE
from projectone.device.cli.ui import UI
from projectone.device.cli.vocabulary import VOCABULARY
from projectone.device.client import DeviceClient


def _correct_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recording", metavar="ID", help="id of the recording, its beginning, or 'last'")
    parser.add_argument(
        "text", metavar="TEXT", nargs="?", help="what was really said, '' for nothing; without it, your editor opens"
    )
    add_others_present(parser)


def _correct(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    named, text = arguments.recording, arguments.text
    if text is None:
        require_terminal()
        recording = client.recording(named)
        before = recording.text if recording.corrected_text is None else recording.corrected_text
        named, text = recording.recording_id, edited(before, editor=arguments.editor, folder=client.status().home)
        if text == " ".join(before.split()):
            return Result({"sample_id": None}, "nothing was changed", is_done=False, problem="nothing was changed")
        if not text:  # an emptied file can be a way to leave the editor
            problem = "no text: nothing was kept; `projectone correct ID ''` says that nothing was said"
            return Result({"sample_id": None}, problem, is_done=False, problem=problem)
    return kept_result(client.correct(named, text, others_present=arguments.others_present))


def _sync_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--due", action="store_true", help="leave what failed a short while ago; for timers")


def _sync(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    with ProgressLine() as line:
        report = client.sync(lambda done, total, what: line.show(f"{done}/{total} {what}"), only_due=arguments.due)
    facts = {
        "sent": report.sent,
        "refused": report.refused,
        "waiting": report.waiting,
        "notices": report.notices,
        "refusals": [{"id": str(sample_id), "reason": reason} for sample_id, reason in report.refusals],
        "problem": report.problem,
    }
    text = f"{report.sent} sent, {report.refused} refused, {report.waiting} waiting"
    text += "".join(f"\n  refused {sample_id}: {reason}" for sample_id, reason in report.refusals)
    text += f"\n  {report.problem}; run it again later" if report.problem else ""
    return Result(facts, text, is_done=report.problem is None, problem=report.problem)


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to declare."""


def _status(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    status = client.status()
    facts = {
        "device_id": status.device_id,
        "home": str(status.home),
        "server": status.server,
        "channel": status.channel,
        "model_version": status.model_version,
        "model_seq": status.model_seq,
        "previous_version": status.previous_version,
        "intents_version": status.intents_version,
        "set_aside": [item.model_dump() for item in status.set_aside],
        "seen": None if status.seen is None else status.seen.model_dump(),
        "is_reporting": status.is_reporting,
        "consents": {scope: moment.isoformat() if moment else None for scope, moment in status.consents.items()},
        "recordings": status.recordings,
        "corrections": status.corrections,
        "donations": status.donations,
        "intents": status.intents,
        "uploaded": status.uploaded,
        "waiting": status.waiting,
        "audit_log": status.history.facts(),
        "refused": [{"id": item, "reason": reason, "detail": detail} for item, reason, detail in status.refusals],
    }
    granted = ", ".join(scope for scope, moment in status.consents.items() if moment)
    lines = [
        f"model       {status.model_version or 'none yet: projectone update'}"
        + (f" (before: {status.previous_version})" if status.previous_version else ""),
        f"classifier  {status.intents_version or 'none yet: projectone update'}",
        *([] if status.seen is None else [f"update      {turn_shown(status.seen)}"]),
        *(f"set aside   {item.version}: {item.reason}" for item in status.set_aside),
        f"recordings  {status.recordings}, {status.corrections} corrected, {status.donations} donated",
        f"meanings    {status.intents} corrected",
        f"sent        {status.uploaded}, {status.waiting} waiting, {len(status.refusals)} refused",
        f"consents    {granted or 'none: no recording and no text leaves'}",
        f"health      {'counts are reported' if status.is_reporting else 'nothing is reported: projectone health on'}",
        f"server      {status.server or 'not set: PROJECTONE_SERVER'} (channel {status.channel})",
        f"audit log   {status.history.words}",
        *([f"            {status.history.advice}"] if status.history.advice else []),
        f"home        {status.home}",
    ]
    return Result(facts, "\n".join(lines))


COMMANDS: dict[str, Command] = {
    "transcribe": TRANSCRIBE,
    "record": RECORD,
    "recordings": RECORDINGS,
    "correct": Command(
        '  projectone correct last "call Ana at nine"\n  projectone correct 3f2a91c0 "nine one one"\n'
        "  projectone correct last                  in your editor ($EDITOR)",
        _correct_arguments,
        _correct,
    ),
    "ask": ASK,
    "answer": ANSWER,
    "answers": ANSWERS,
    "vocabulary": VOCABULARY,
    "memory": MEMORY,
    "policies": POLICIES,
    "harmless": HARMLESS,
    "donate": DONATE,
    "sent": SENT,
    "undo": UNDO,
    "consent": CONSENT,
    "sync": Command(
        "  projectone sync\n  projectone sync --due --json",
        _sync_arguments,
        _sync,
    ),
    "update": UPDATE,
    "model": MODEL,
    "health": HEALTH,
    "quality": QUALITY,
    "cues": CUES,
    "sound": SOUND,
    "ui": UI,
    "status": Command(
        "  projectone status\n  projectone status --json",
        _no_arguments,
        _status,
    ),
}
