"""`projectone memory`: what this device remembers, found, forgotten, switched on and off."""

from __future__ import annotations

import argparse

from projectone.assist.memory import Remembered
from projectone.contracts.texts import printable
from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.errors import UsageError

_STAYS = "What is remembered stays on this device. It is never sent."
_MANY = 1_000


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=("list", "search", "add", "forget", "on", "off"),
        default="list",
        help="default: list",
    )
    parser.add_argument("words", nargs="*", metavar="WORDS", help="what to look for or to add; ids to forget")
    parser.add_argument("--all", action="store_true", help="with forget: everything")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="memories to show (default 20)")


def _memory(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    action, words, memory = arguments.action, " ".join(arguments.words), client.memory
    _check(arguments)
    if action in ("on", "off"):
        memory.switch(is_on=action == "on")
        return _switched(client)
    if action == "add":
        kept = memory.note(words)
        if kept is None:
            problem = "nothing was kept: there is no word in it, or notes are kept for 0 days"
            return Result({"memory_id": None}, problem, is_done=False, problem=problem)
        return Result(kept.facts(), f"remembered: {printable(kept.text)}")
    if action == "forget":
        return _forgotten(client, arguments)
    found = memory.search(words, arguments.limit) if action == "search" else memory.newest(arguments.limit)
    return _listed(client, found, is_search=action == "search")


def _check(arguments: argparse.Namespace) -> None:
    action, n_words = arguments.action, len(arguments.words)
    needs_words = action in ("search", "add") or (action == "forget" and not arguments.all)
    if needs_words and not n_words:
        raise UsageError(f"memory {action}: expected {'an ID or --all' if action == 'forget' else 'WORDS'}")
    if n_words and (action in ("list", "on", "off") or (action == "forget" and arguments.all)):
        raise UsageError(f"memory {action}: expected no WORDS")
    if arguments.all and action != "forget":
        raise UsageError(f"memory {action}: --all belongs to forget")
    if not 1 <= arguments.limit <= _MANY:
        raise UsageError(f"--limit: expected 1 to {_MANY}, got {arguments.limit}")


def _switched(client: DeviceClient) -> Result:
    memory = client.memory
    n = memory.count()
    if memory.is_on:
        text = f"on: what you say from now on is remembered here. {_STAYS}\n{_kept_words(client)}"
    else:
        left = f"; {n} of before are here yet: projectone memory forget --all" if n else ""
        text = f"off: nothing more is remembered or looked for{left}"
    return Result({"is_on": memory.is_on, "count": n}, text)


def _forgotten(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.all:
        n = client.memory.forget_all()
        return Result({"forgotten": n}, f"forgotten: {n}")
    # All are found before one is gone for good: a wrong id among them forgets nothing.
    found = {memory.memory_id: memory for memory in map(client.memory.find, arguments.words)}
    gone = [client.memory.forget(str(memory_id)) for memory_id in found]
    return Result(
        {"forgotten": len(gone), "memories": [memory.facts() for memory in gone]},
        "\n".join(f"forgotten: {printable(memory.text)}" for memory in gone),
    )


def _listed(client: DeviceClient, found: list[Remembered], *, is_search: bool) -> Result:
    memory = client.memory
    is_on, n = memory.is_on, memory.count()
    lines = [f"Memory is {'on' if is_on else 'off: projectone memory on'}. {_STAYS}", _kept_words(client), ""]
    for each in found:
        about = each.about
        names = f"  about {', '.join(map(printable, about.names))}" if about.names else ""
        intent = f"  [{printable(about.intent)}]" if about.intent else ""
        lines.append(
            f"{str(each.memory_id)[:8]}  {about.said_at.astimezone():%Y-%m-%d %H:%M}  {about.kind:5}"
            f"  {printable(each.text)}{intent}{names}"
        )
    if not found:
        lines.append("nothing found" if is_search else "nothing is remembered")
    elif not is_search and n > len(found):
        lines.append(f"... and {n - len(found)} more: --limit, or projectone memory search WORDS")
    facts = {
        "is_on": is_on,
        "count": n,
        "days": memory.retention.described(),
        "memories": [each.facts() for each in found],
    }
    return Result(facts, "\n".join(lines))


def _kept_words(client: DeviceClient) -> str:
    days = client.memory.retention.described()
    parts = [f"{kind} {'until you forget it' if n is None else f'{n} days'}" for kind, n in days.items()]
    return f"Kept: {', '.join(parts)} (PROJECTONE_MEMORY_KEEP)."


MEMORY = Command(
    "  projectone memory on                     remember from now on what I say; off at first\n"
    "  projectone memory                        everything that is remembered\n"
    '  projectone memory search "Anna\'s number"  by words, and by what they mean\n'
    '  projectone memory add "Anna likes tea"   remember this until I forget it\n'
    "  projectone memory forget 3f2a91c0        for good, with its vector\n"
    "  projectone memory forget --all\n"
    "  projectone memory off                    what is there stays until it is forgotten",
    _arguments,
    _memory,
)
