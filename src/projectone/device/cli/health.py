"""`projectone health`: whether this device says how its model does, and what exactly it would say."""

from __future__ import annotations

import argparse

from projectone.contracts.health import SPEED_EDGES, HealthCounts
from projectone.contracts.rollouts import SeenTurn, StopReason
from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient

_STOPPED: dict[StopReason, str] = {
    "crash-loops": "it ended the app on the first devices",
    "crash-looped": "it ends the app",
    "load-failed": "it cannot be loaded on too many devices",
    "silent": "devices that took it fell silent",
    "slow": "it is slow",
    "empty": "it hears too little",
    "corrected": "people correct it more",
    "person": "by hand",
    "replaced": "another one takes its place",
}
_WORDS = """\
What is reported, while a release goes out and only then: whether the new model was installed, could not be loaded or
ended the app; whether it was worse on your own recordings, not worse, or they were too few (that word alone); how many
recordings were transcribed, how fast (in six classes), how many came out empty and how many you corrected. No sound,
no text, no name, no device. A report carries a ticket that the server signed without seeing it, so that each device
counts once and nobody can tell whose report it is."""


def turn_shown(seen: SeenTurn) -> str:
    """A release that is not for this device yet."""
    if seen.is_halted:
        why = f": {_STOPPED[seen.reason]}" if seen.reason else ""
        return f"model {seen.version} was stopped{why}"
    return f"model {seen.version} is out for {seen.percent:g} % of devices, and it is not this one's turn yet"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("show", "on", "off"), default="show", help="default: show")


def _health(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.action != "show":
        client.report_health(is_on=arguments.action == "on")
    is_on, windows = client.status().is_reporting, client.health()
    counted = [
        {"seq": item.seq, "cohort": item.cohort, "says_next": item.next_phase, "counts": item.counts.model_dump()}
        for item in windows
    ]
    lines = ["health reports are " + ("on" if is_on else "off: nothing is counted, nothing is sent"), "", _WORDS]
    lines += [f"\nrelease {item.seq} ({item.cohort}): {_counts(item.counts)}" for item in windows]
    return Result({"is_on": is_on, "counted": counted}, "\n".join(lines))


def _counts(counts: HealthCounts) -> str:
    edges = [f"under {edge:g}" for edge in SPEED_EDGES] + [f"{SPEED_EDGES[-1]:g} or more"]
    speeds = ", ".join(f"{n} {edge}" for n, edge in zip(counts.speeds, edges, strict=True) if n)
    return (
        f"{counts.installs} installed, {counts.load_failures} not loaded, {counts.crash_loops} crash loops, "
        f"{counts.transcripts} transcribed{f' (seconds for a second: {speeds})' if speeds else ''}, "
        f"{counts.empty_transcripts} empty, {counts.corrections} corrected"
        + (f", on your own recordings: {counts.verdict}" if counts.verdict else "")
    )


HEALTH = Command(
    "  projectone health          whether, and exactly what\n  projectone health on\n  projectone health off",
    _arguments,
    _health,
)
