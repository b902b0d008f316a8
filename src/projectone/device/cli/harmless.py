"""`projectone harmless`: what the safety classifier warned of, and its person says is harmless."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from projectone.contracts.texts import printable
from projectone.device.assistant import FROM_NOW_ON
from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.errors import UsageError

if TYPE_CHECKING:
    from projectone.assist.first_turn import Choice

_NOBODY = "nothing was said to be harmless; what the safety classifier warns of is not answered"


def first_answer(choice: Choice) -> list[str]:
    """A first answer and its reason in lines; where a text was kept back, also what its person can do."""
    lines = [printable(choice.text), f"  {printable(choice.reason)}"]
    return [*lines, *(["  If it is harmless: projectone harmless say TEXT"] if choice.kind == "unsafe" else [])]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "say", "take-back"), default="list", help="default: list")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="say, take-back: the text that was warned of")


def _harmless(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    action, text = arguments.action, arguments.text
    if (text is None) != (action == "list"):
        raise UsageError(f"harmless {action}: expected {'no TEXT' if action == 'list' else 'a TEXT'}")
    if action == "say":
        client.harmless.say(text)
    elif action == "take-back":
        client.harmless.take_back(text)
    kept = client.harmless.listed()
    facts = {"harmless": [item.facts() for item in kept]}
    lines = [f"{item.said_at.astimezone():%Y-%m-%d}  {printable(item.text)}" for item in kept]
    told = [FROM_NOW_ON] if action == "say" else []
    return Result(facts, "\n".join([*told, *lines]) or _NOBODY)


HARMLESS = Command(
    "  projectone harmless                      what you said is harmless, though it was warned of\n"
    '  projectone harmless say "how do i kill a process"   answer this text from now on; it stays on this device\n'
    '  projectone harmless take-back "how do i kill a process"',
    _arguments,
    _harmless,
)
