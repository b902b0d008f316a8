"""`projectone quality`: what is counted of how well the models do here, and exactly what would be said of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Final

from projectone.contracts.consent import CONSENT_TEXTS
from projectone.contracts.questions import CLASS_NAMES, EDGES, TITLES, UNITS, class_names
from projectone.contracts.versions import Family
from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.device.quality import Payload, WeekCounts
from projectone.errors import ConsentError

_NAMED: Final[Mapping[Family, str]] = {"speech": "model", "intents": "classifier", "safety": "safety classifier"}
_BAR = 24
_SHOWN_WEEKS = 2


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = ("show", "payload", "on", "off")
    parser.add_argument("action", nargs="?", choices=actions, default="show", help="default: show")
    parser.add_argument("--yes", action="store_true", help="agree to the words without being asked (on)")


def _quality(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.action == "payload":
        return _payload(client)
    if arguments.action == "on" and not (arguments.yes or client.quality.is_on or _agrees()):
        return Result({"is_on": False}, "quality: not granted", is_done=False)
    if arguments.action != "show":
        client.quality.switch(is_on=arguments.action == "on", method="cli")
    return _show(client)


def _agrees() -> bool:
    """Ask the person in front of the terminal.

    Raises:
        ConsentError: if nobody is there.
    """
    print(_words(), file=sys.stderr)
    if not sys.stdin.isatty():
        raise ConsentError("quality: nobody is here to be asked; --yes says that the person has read these words")
    print("Do you agree? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(client: DeviceClient) -> Result:
    is_on, weeks, told = client.quality.is_on, client.quality.histograms(), client.quality.told()
    facts = {
        "is_on": is_on,
        "edges": {name: list(edges) for name, edges in EDGES.items()},
        "classes": {name: list(names) for name, names in CLASS_NAMES.items()},
        "weeks": [
            {"week": item.week, "family": item.family, "model_version": item.model_version, "counts": item.counts}
            for item in weeks
        ],
        "told": [_facts(item) for item in told],
    }
    lines = ["quality reports are " + ("on" if is_on else "off: nothing is counted, nothing is sent"), ""]
    lines += [_words()]
    for item in weeks[:_SHOWN_WEEKS]:
        lines += ["", *_week_lines(item)]
    if len(weeks) > _SHOWN_WEEKS:
        lines += ["", f"and {len(weeks) - _SHOWN_WEEKS} more, with --json"]
    lines += ["", *(f"sent {item.told_at:%Y-%m-%d %H:%M} UTC: {item.body.decode()}" for item in told)]
    if is_on:
        lines.append("`projectone quality payload` shows what is sent next")
    return Result(facts, "\n".join(lines))


def _words() -> str:
    words = CONSENT_TEXTS["quality"]
    return f"{words.text}\n(version {words.version} of these words, since {words.since})"


def _week_lines(counted: WeekCounts) -> list[str]:
    named = _NAMED[counted.family]
    lines = [f"week {counted.week}, {named} {counted.model_version}: counted here, and never sent as it is"]
    for histogram, counts in counted.counts.items():
        if not any(counts):
            continue
        lines.append(f"  {TITLES[histogram]}{f' ({UNITS[histogram]})' if UNITS[histogram] else ''}")
        for name, n in zip(class_names(histogram), counts, strict=True):
            lines.append(f"    {name:>24}  {n:4}  {'█' * round(_BAR * n / max(counts))}".rstrip())
    return lines


def _payload(client: DeviceClient) -> Result:
    payload = client.quality.payload()
    if payload is None:
        why = "nothing was counted last week" if client.quality.is_on else "quality reports are off"
        return Result({"payload": None}, f"nothing is sent: {why}")
    report = payload.report
    said = f"{class_names(report.histogram)[report.answer]} {UNITS[report.histogram]}".rstrip()
    state = (
        f"sent {payload.told_at:%Y-%m-%d %H:%M} UTC"
        if payload.told_at
        else f"sent at the first `sync` or `update` after {payload.due_at:%Y-%m-%d %H:%M} UTC"
    )
    text = (
        f"{payload.body.decode()}\n\nThese {len(payload.body)} bytes, and a signature over them that was made unseen: "
        f"{state}.\nThey say of week {report.week}: {TITLES[report.histogram]}: {said}. "
        "A coin decided whether that is true."
    )
    return Result(_facts(payload), text)


def _facts(payload: Payload) -> dict[str, object]:
    return {
        "payload": payload.body.decode(),
        "report": json.loads(payload.body),
        "due_at": payload.due_at.isoformat(),
        "told_at": None if payload.told_at is None else payload.told_at.isoformat(),
    }


QUALITY = Command(
    "  projectone quality                       what is counted here, and what was sent\n"
    "  projectone quality payload               exactly the bytes that are sent next\n"
    "  projectone quality on\n"
    "  projectone quality off                   and forget what was counted",
    _arguments,
    _quality,
)
