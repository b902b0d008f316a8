"""`projectone ask`: what a text or a recording means, by the small classifier on this machine."""

from __future__ import annotations

import argparse
from typing import Any

from projectone.contracts.assist import sure_shown
from projectone.device.assistant import Asked, Understood
from projectone.device.cli.harmless import first_answer
from projectone.device.cli.results import Command, Result, kept_result, undone_result
from projectone.device.client import DeviceClient
from projectone.errors import SettingsError, UsageError

_EXAMPLES = """\
  projectone ask "wake me at seven"
  projectone ask --recording last              what was meant in a recording
  projectone ask correct last --label alarm_set    what was meant; `sync` sends it, if you agreed to that
  projectone ask correct 3f2a91c0 --none       none of its intents was meant
  projectone ask undo last                     take that back, also from the server
  projectone ask --labels                      what it can tell apart
  projectone ask --list                        what was asked before; it stays on this machine, for 30 days
  projectone ask --forget 3f2a91c0             or --forget all, also what you said is harmless"""

_MAX_LISTED = 500
_ALL = "all"
_ABOUT_ONE = ("correct", "undo")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="TEXT", help="what was said; or: correct ID, undo ID")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--recording", metavar="ID", help="ask about a recording: its id, a beginning of it, or 'last'")
    what.add_argument("--labels", action="store_true", help="list what the classifier can tell apart")
    what.add_argument("--list", action="store_true", help="list what was asked before")
    what.add_argument("--forget", metavar="ID", help="forget what was asked: an id, 'last' or 'all'")
    meant = parser.add_mutually_exclusive_group()
    meant.add_argument("--label", metavar="NAME", help="with correct: the intent that was meant")
    meant.add_argument("--none", action="store_true", help="with correct: none of them was meant")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="with --list: how many (default 20)")


def _ask(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    is_other = arguments.recording is not None or arguments.labels or arguments.list or arguments.forget is not None
    if is_other == bool(arguments.words):
        raise UsageError("ask: about what? expected a TEXT, or --recording ID", usage="")
    is_about_one = len(arguments.words) == 2 and arguments.words[0] in _ABOUT_ONE
    if (arguments.label is not None or arguments.none) != (is_about_one and arguments.words[0] == "correct"):
        raise UsageError("ask: expected correct ID with --label NAME or --none", usage="")
    if is_about_one:
        return _about_one(client, arguments)
    if arguments.words:
        return _answered(client, client.assist.understand(" ".join(arguments.words)))
    if arguments.recording is not None:
        return _answered(client, client.assist.understand_recording(arguments.recording))
    if arguments.labels:
        labels = client.assist.labels()
        return Result({"labels": list(labels)}, "\n".join(labels))
    if arguments.forget is not None:
        n_gone = client.forget_asked(None if arguments.forget == _ALL else arguments.forget)
        return Result({"forgotten": n_gone}, f"{n_gone} forgotten")
    return _listed(client, arguments.limit)


def _about_one(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    action, named = arguments.words
    if action == "undo":
        return undone_result(client.undo(client.assist.undo(named)))
    return kept_result(client.assist.correct(named, arguments.label))


def _answered(client: DeviceClient, found: Understood) -> Result:
    """What was understood, after the first answer where policies are here."""
    understood, choice = asked_result(found), client.replies.to(found.asked)
    if choice is None:
        return understood
    text = "\n".join([*first_answer(choice), understood.text])
    return Result({**understood.facts, "reply": choice.facts()}, text)


def asked_result(found: Understood) -> Result:
    """What was understood, for programs and for people."""
    asked = found.asked
    return Result(found.facts(), f"{meaning_shown(asked)}\n{asked.ask_id[:8]}, by classifier {asked.model_version}")


def meaning_shown(asked: Asked) -> str:
    """The answer in a line."""
    if asked.label is None:
        return f"none of these (nearest: {asked.nearest}, which does not fit)"
    return f"{asked.label} ({sure_shown(asked.probability)})"


def _listed(client: DeviceClient, limit: int) -> Result:
    if not 1 <= limit <= _MAX_LISTED:
        raise SettingsError(f"--limit: expected 1 to {_MAX_LISTED}, got {limit}")
    items = client.assist.newest(limit)
    lines = [
        f"{item.asked.ask_id[:8]}  {item.asked.asked_at.astimezone():%Y-%m-%d %H:%M}  {meaning_shown(item.asked)}"
        f"{'' if item.meant is None else f', meant: {item.meant.text}'}  <-  {item.asked.text}"
        for item in items
    ]
    facts: dict[str, Any] = {"asked": [item.facts() for item in items]}
    return Result(facts, "\n".join(lines) or 'nothing was asked yet: projectone ask "what you say"')


ASK = Command(_EXAMPLES, _arguments, _ask)
