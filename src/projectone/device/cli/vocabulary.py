"""`projectone vocabulary`: the names and words that this device minds, for this user alone."""

from __future__ import annotations

import argparse

from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.device.vocabulary import Term, Vocabulary
from projectone.errors import SettingsError

_STAYS = "This list stays on this device. It is learned from your corrections, and used from the next recording on."


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", choices=("list", "add", "remove", "off", "on"), default="list", help="default: list"
    )
    parser.add_argument("terms", nargs="*", metavar="TERM", help="a name or a phrase; off and on without one: the list")


def _vocabulary(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    action, texts, vocabulary = arguments.action, arguments.terms, client.vocabulary
    if action == "list":
        if texts:
            raise SettingsError("vocabulary list: expected no TERM")
        return _listed(client)
    if not texts:
        if action in ("add", "remove"):
            raise SettingsError(f"vocabulary {action}: expected at least one TERM")
        vocabulary.switch_all(is_on=action == "on")
        return Result({"is_on": vocabulary.is_on}, "the list is used" if vocabulary.is_on else "the list is not used")
    with vocabulary.all_or_none():
        changed = [_changed(vocabulary, action, text) for text in texts]
    done = {"add": "on the list", "remove": "removed", "off": "off", "on": "on"}[action]
    lines = [f"{term.text}: {done}" for term in changed]
    return Result({"terms": [term.facts() for term in changed]}, "\n".join(lines))


def _changed(vocabulary: Vocabulary, action: str, text: str) -> Term:
    if action == "add":
        return vocabulary.add(text)
    if action == "remove":
        return vocabulary.remove(text)
    return vocabulary.switch(text, is_on=action == "on")


def _listed(client: DeviceClient) -> Result:
    vocabulary, terms = client.vocabulary, client.vocabulary.list()
    lines = [_STAYS, ""]
    if not vocabulary.is_on:
        lines[0] += " It is off: projectone vocabulary on"
    width = max((len(term.text) for term in terms), default=0)
    for term in terms:
        helped = f"helped {term.n_helped} times" if term.n_helped != 1 else "helped once"
        off = "" if term.is_active else f", off: {term.off_because}"
        lines.append(f"{term.text:{width}}  {term.origin} {term.added_at.astimezone():%Y-%m-%d}, {helped}{off}")
    if not terms:
        lines.append('nothing yet: correct a recording, or projectone vocabulary add "a name"')
    return Result({"is_on": vocabulary.is_on, "terms": [term.facts() for term in terms]}, "\n".join(lines))


VOCABULARY = Command(
    '  projectone vocabulary\n  projectone vocabulary add "Ana Kowalska" ProjectOne\n'
    "  projectone vocabulary remove ProjectOne\n"
    "  projectone vocabulary off ProjectOne     keep it, and do not use it\n"
    "  projectone vocabulary off                use none of them",
    _arguments,
    _vocabulary,
)
