"""`projectone policies`: what this device may answer, and which policy a text falls under."""

from __future__ import annotations

import argparse
from pathlib import Path

from projectone.contracts.policies import PolicySet
from projectone.contracts.texts import printable
from projectone.device.cli.harmless import first_answer
from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.errors import UsageError


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", choices=("list", "check", "update", "install"), default="list", help="default: list"
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORDS", help="check: a text; install: a file that the server signed"
    )


def _policies(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    action, words = arguments.action, arguments.words
    if bool(words) != (action in ("check", "install")) or (action == "install" and len(words) != 1):
        wanted = {"check": "a TEXT", "install": "one FILE"}.get(action, "no WORDS")
        raise UsageError(f"policies {action}: expected {wanted}")
    if action == "install":
        return _set_result(client.replies.install(Path(words[0])))
    if action == "update":
        problem = client.replies.refresh(is_again=True)
        if problem is not None:
            return Result({"problem": problem}, problem, is_done=False, problem=problem)
    if action == "check":
        return _checked(client, " ".join(words))
    return _set_result(client.replies.approved())


def _checked(client: DeviceClient, text: str) -> Result:
    choice, closest = client.replies.first(text), client.replies.look_up(text)
    if choice is None:
        problem = "no policies are here: projectone policies update"
        return Result({"reply": None}, problem, is_done=False, problem=problem)
    facts = {"reply": choice.facts(), "nearest": closest.facts() if closest else None}
    return Result(facts, "\n".join(first_answer(choice)))


def _set_result(approved: PolicySet | None) -> Result:
    if approved is None:
        return Result({"version": None, "policies": []}, "no policies are here: projectone policies update")
    lines = [f"version {approved.version} of {approved.made_at:%Y-%m-%d}, signed; {len(approved.policies)} policies"]
    lines += [
        f"  {policy.policy_id}  version {policy.version}, approved by {policy.approved_by}"
        f" on {policy.approved_at:%Y-%m-%d}: {printable(policy.text)}"
        for policy in approved.policies
    ]
    return Result(approved.model_dump(mode="json"), "\n".join(lines))


POLICIES = Command(
    "  projectone policies                      what this device may answer\n"
    '  projectone policies check "i lost my card"   what it would answer, and why; nothing is remembered\n'
    "  projectone policies update               ask the server for the newest, without a name\n"
    "  projectone policies install set.json     take a set from a file; its signature is checked",
    _arguments,
    _policies,
)
