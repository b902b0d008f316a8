"""`projectone update` and `projectone model`: look for a better model, bring it, see what it changed.

Every family of models comes in the same way: the speech model, and the classifier that says what was meant.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Final

from projectone.contracts.versions import DEFAULT_FAMILY, FAMILIES, Family
from projectone.device.adoption import Adoption, AdoptionState
from projectone.device.adoption.news import news_of
from projectone.device.cli.offered import checked
from projectone.device.cli.progress import ProgressLine
from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.device.updater import UpdateReport
from projectone.errors import SettingsError

_NOUNS: Final[dict[str, str]] = {"speech": "model", "intents": "classifier", "safety": "safety classifier"}
_OWN: Final[dict[str, str]] = {  # what new ones are compared on; of safety nobody says what is right
    "speech": "your recordings",
    "intents": "what you said you meant",
}
_DONE = ("updated", "current", "waiting", "halted", "staged")
_MAX_WAIT_MIN = 7 * 24 * 60
_WAIT_MIN = 8 * 60


def _update_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--family", choices=FAMILIES, help="the speech model alone, or what says what was meant (intents)"
    )
    parser.add_argument("--again", action="store_true", help="also take a release that was set aside")
    parser.add_argument("--now", action="store_true", help="take a release before it is this device's turn")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rollback", action="store_true", help="use the model before instead")
    what.add_argument(
        "--check",
        action="store_true",
        help="look for a newer release and say what is new in it, how much is to be fetched and when it comes; "
        "nothing of it is fetched",
    )
    what.add_argument("--status", action="store_true", help="say where this device stands; the server is not asked")
    what.add_argument(
        "--when-idle", action="store_true", help="fetch, and wait with the trial until nobody minds; for timers"
    )
    parser.add_argument(
        "--max-wait",
        type=int,
        default=_WAIT_MIN,
        metavar="MINUTES",
        help=f"with --when-idle: how long to wait (default {_WAIT_MIN}); what was fetched stays for the next time",
    )


def _update(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    families: tuple[Family, ...] = tuple(client.adoptions) if arguments.family is None else (arguments.family,)
    if arguments.rollback:
        family: Family = arguments.family or DEFAULT_FAMILY
        version = client.roll_back(family)
        return Result({"status": "rolled-back", "to_version": version}, f"{_NOUNS[family]} {version} is in use again")
    if arguments.check:
        asked = {family: client.adoptions[family] for family in families}
        return checked(asked, _NOUNS, is_again=arguments.again, is_early=arguments.now)
    if arguments.status:
        states = {family: client.adoptions[family].state() for family in families}
        text = "\n\n".join(_state_text(family, state) for family, state in states.items())
        return Result(_by_family({family: _state_facts(state) for family, state in states.items()}), text)
    if not 0 <= arguments.max_wait <= _MAX_WAIT_MIN:
        raise SettingsError(f"--max-wait: expected 0 to {_MAX_WAIT_MIN} minutes, got {arguments.max_wait}")
    if arguments.when_idle and (arguments.again or arguments.now):
        raise SettingsError(
            "--when-idle: expected neither --again nor --now with it: what cannot wait is not idle work"
        )
    with ProgressLine() as line:

        def show(have: int, total: int) -> None:
            is_here = have >= total
            line.show("checking and trying it" if is_here else f"{have / 1e6:.1f} of {total / 1e6:.1f} MB")

        reports: dict[Family, UpdateReport] = {}
        for family in families:
            if arguments.when_idle:
                reports[family] = client.adoptions[family].update_when_idle(
                    arguments.max_wait * 60.0, lambda waits: line.show(f"waiting: {waits[0]}"), show
                )
            else:
                reports[family] = client.update(show, is_again=arguments.again, is_early=arguments.now, family=family)
    return _update_result(reports)


def _update_result(reports: Mapping[Family, UpdateReport]) -> Result:
    results = {family: _one_result(family, report) for family, report in reports.items()}
    released = {family: result for family, result in results.items() if reports[family].status != "no-release"}
    # A server that has released one family of two lacks nothing that anybody was promised.
    said = {
        family: result
        for family, result in results.items()
        if len(results) == 1 or family == DEFAULT_FAMILY or family in released
    }
    return Result(
        _by_family({family: result.facts for family, result in results.items()}),
        "\n".join(result.text for result in said.values()),
        is_done=bool(released) and all(result.is_done for result in released.values()),
    )


def _by_family(facts: Mapping[Family, dict[str, Any]]) -> dict[str, Any]:
    """The facts of the first family as they are, and those of every one under its name."""
    return {**next(iter(facts.values())), "families": facts}


def _one_result(family: Family, report: UpdateReport) -> Result:
    noun = _NOUNS[family]
    facts = {
        "status": report.status,
        "from_version": report.from_version,
        "to_version": report.to_version,
        "reason": report.reason,
        "received_bytes": report.received_bytes,
    }
    stays = f"{report.from_version or f'no {noun}'} stays in use"
    words = {
        "updated": f"{noun} {report.to_version} is in use"
        + (f" (before: {report.from_version})" if report.from_version else ""),
        "current": f"{noun} {report.to_version} is the newest",
        "no-release": f"the server has released no {noun} yet",
        "set-aside": f"{report.reason}; --again installs it",
        "waiting": f"{report.reason}; --now takes it",
        "halted": f"{report.reason}; {stays}",
        "rejected": f"the new {noun} was not taken: {report.reason}; {stays}",
        "staged": f"{report.reason}; {stays}",
    }
    return Result(facts, words[report.status], is_done=report.status in _DONE)


def _model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--automatic",
        choices=("on", "off"),
        help="look for newer models without being asked while the app in the browser runs, or do not",
    )


def _model(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.automatic:
        client.adoption.switch(arguments.automatic == "on")
    shown = {family: _one_model(family, adoption) for family, adoption in client.adoptions.items()}
    facts = _by_family({family: result.facts for family, result in shown.items()})
    return Result(facts, "\n\n".join(result.text for result in shown.values()))


def _one_model(family: Family, adoption: Adoption) -> Result:
    state, comparisons = adoption.state(), adoption.comparisons()
    manifest = adoption.manifest()
    facts = _state_facts(state) | {
        "since": state.since.isoformat() if state.since else None,
        "tier": manifest.tier if manifest else None,
        "notes": manifest.notes.model_dump(mode="json") if manifest and manifest.notes else None,
        "comparisons": [item.facts() for item in comparisons],
    }
    lines = [_state_text(family, state)]
    if state.since is not None:
        lines.insert(1, f"in use     since {state.since.astimezone():%Y-%m-%d %H:%M}")
    if manifest is not None:
        lines += ["", "What is new in it:", *(f"  {line}" for line in news_of(manifest))]
    if comparisons:
        lines += ["", "What changed for you:"]
    elif family in _OWN:
        lines += ["", f"No new {_NOUNS[family]} was tried on {_OWN[family]} yet."]
    lines += [f"  {item.tried_at.astimezone():%Y-%m-%d}  {item.words}" for item in comparisons]
    return Result(facts, "\n".join(lines))


def _state_facts(state: AdoptionState) -> dict[str, Any]:
    return {
        "phase": state.phase,
        "words": state.words,
        "version": state.version,
        "staged_version": state.staged_version,
        "is_automatic": state.is_automatic,
        "waits_for": list(state.waits_for),
        "used_bytes": state.used_bytes,
        "budget_bytes": state.budget_bytes,
        "models": [
            {"version": item.version, "seq": item.seq, "role": item.role, "size_bytes": item.size_bytes}
            for item in state.models
        ],
        "last": None if state.last is None else state.last.facts(),
    }


def _state_text(family: Family, state: AdoptionState) -> str:
    budget = "" if state.budget_bytes is None else f" of {state.budget_bytes / 1e6:.0f} allowed"
    lines = [
        f"{_NOUNS[family].split()[0]:11}{state.words}",
        f"disk       {state.used_bytes / 1e6:.1f} MB{budget}",
        *(f"           {item.size_bytes / 1e6:.1f} MB  {item.version} ({item.role})" for item in state.models),
        *(f"waits      {what}" for what in state.waits_for),
        f"automatic  {'on' if state.is_automatic else 'off: projectone model --automatic on'}",
    ]
    return "\n".join(lines)


UPDATE = Command(
    "  projectone update                          the speech model, and what says what was meant\n"
    "  projectone update --family intents         the latter alone\n"
    "  projectone update --check                  what is new in a newer one, and its size, before it is fetched\n"
    "  projectone update --rollback\n  projectone update --now\n"
    "  projectone update --status --json\n  projectone update --when-idle --max-wait 120    for a timer\n\n"
    'exit codes of --check: 0 it was looked (with --json, "is_offered" says whether `projectone update` would bring '
    "something);\n  1 there is no release, or none that this device takes: set aside, or for a newer app; 2 the server "
    "cannot be\n  reached, or what it says must not be believed",
    _update_arguments,
    _update,
)
MODEL = Command(
    "  projectone model                    which one, and what changed for you\n"
    "  projectone model --automatic off    look for newer ones only when asked\n  projectone model --json",
    _model_arguments,
    _model,
)
