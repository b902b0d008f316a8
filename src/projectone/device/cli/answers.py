"""`projectone answer` and `projectone answers`: an answer in words, and what left this device for it."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import asdict
from typing import Any

from projectone.assist.generation.accounts import Times
from projectone.assist.generation.accounts.ledger import EDGES_S
from projectone.assist.generation.protocol import Answer, Retracted
from projectone.contracts.texts import printable
from projectone.device.answers import AnswerParameters, Leaving
from projectone.device.cli.results import Command, Result
from projectone.device.client import DeviceClient
from projectone.errors import UsageError

_MAX_LISTED = 500
_MAX_DAYS = 400
_MAX_WAIT_S = 600
_CLEAR_BELOW = "\x1b[J"


def _answer_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", help="what you want to know")
    parser.add_argument("--stream", action="store_true", help="show it word by word")
    parser.add_argument("--preview", action="store_true", help="show exactly what would leave, and ask nobody")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed gives the same answer")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 (default) to 2: how free it is")
    parser.add_argument("--max-tokens", type=int, default=128, metavar="N", help="how long it may be (default 128)")
    parser.add_argument("--deadline", type=float, metavar="SECONDS", help="how long you wait at most")
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="before that, for a model of this machine to be loaded (default 0: who is not ready is not asked)",
    )


def _answer(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    parameters = AnswerParameters(
        seed=arguments.seed,
        temperature=arguments.temperature,
        max_tokens=arguments.max_tokens,
        deadline_s=arguments.deadline,
    )
    if arguments.preview:
        return _preview(client.answers.leaving(arguments.text, parameters=parameters))
    if not 0 <= arguments.wait <= _MAX_WAIT_S:
        raise UsageError(f"answer: --wait: expected 0 to {_MAX_WAIT_S}, got {arguments.wait:g}", usage="")
    client.answers.prepare(arguments.wait)
    if not arguments.stream:
        answer = client.answers.answer(arguments.text, parameters=parameters)
        return Result(answer_facts(answer), f"{printable(answer.text, keep=_LINES)}\n{_who(answer)}")
    if arguments.json:
        raise UsageError("answer: --stream shows words, --json one object: expected one of the two", usage="")
    screen = _Screen()
    for event in client.answers.stream(arguments.text, parameters=parameters):
        if isinstance(event, Answer):
            screen.end(event.text)
            return Result(answer_facts(event), _who(event))
        if isinstance(event, Retracted):
            screen.retract()
        else:
            screen.show(event)
    raise AssertionError("a chain ends with an answer")


_LINES = "\n"


class _Screen:
    """Shows pieces as they come, and can take them off again; on anything that is no terminal it waits for the end."""

    def __init__(self) -> None:
        self._is_live = sys.stdout.isatty()
        self._shown = ""

    def show(self, piece: str) -> None:
        if self._is_live:
            piece = printable(piece, keep=_LINES)
            self._shown += piece
            print(piece, end="", flush=True)

    def retract(self) -> None:
        """Nobody reads half an answer: what was shown is wiped before another one begins."""
        if self._shown:
            columns = shutil.get_terminal_size((80, 24)).columns
            n_rows = sum(max(1, -(-len(line) // columns)) for line in self._shown.split("\n"))
            up = f"\x1b[{n_rows - 1}A" if n_rows > 1 else ""
            print(f"\r{up}{_CLEAR_BELOW}", end="", flush=True)
            self._shown = ""

    def end(self, text: str) -> None:
        print() if self._is_live else print(printable(text, keep=_LINES))


def answer_facts(answer: Answer) -> dict[str, Any]:
    """An answer for programs: who gave it, and why others did not."""
    return {
        "text": answer.text,
        "by": answer.by,
        "model_version": answer.model_version,
        "seed": answer.seed,
        "template": answer.template,
        "cached": answer.cached,
        "took_s": round(answer.took_s, 4),
        "cost": {
            "prompt_tokens": answer.cost.prompt_tokens,
            "answer_tokens": answer.cost.answer_tokens,
            "micros": answer.cost.micros,
        },
        "failed": [
            {"by": one.by, "reason": one.reason, "message": one.message, "took_s": round(one.took_s, 4)}
            for one in answer.failed
        ],
    }


def _who(answer: Answer) -> str:
    kept = {"no": "", "exact": ", kept from before", "near": ", kept from a question that says the same"}
    lines = [f"by {answer.by} ({answer.model_version}){kept[answer.cached]}, in {answer.took_s:.2f} s"]
    lines += [f"not by {one.by}: {one.reason}: {printable(one.message)}" for one in answer.failed]
    return "\n".join(lines)


def _preview(leaving: Leaving) -> Result:
    request = leaving.request
    facts = {
        "host": leaving.host,
        "is_allowed": leaving.is_allowed,
        "n_hidden": leaving.n_hidden,
        "prompt": request.prompt if request else None,
        "system": request.system if request else None,
    }
    if leaving.host is None:
        return Result(facts, "nothing would leave: no server is set (PROJECTONE_ANSWERS_URL)")
    if request is None:
        return Result(facts, "nothing would leave: without the personal data nothing is left to ask")
    agree = "would leave if you agreed to it (`projectone consent grant hosted_answers`)"
    state = "would leave" if leaving.is_allowed else agree
    shown = printable(f"system: {request.system}\nprompt: {request.prompt}", keep=_LINES)
    return Result(facts, f"this {state} for {leaving.host}, {leaving.n_hidden} things hidden:\n{shown}")


def _answers_arguments(parser: argparse.ArgumentParser) -> None:
    actions = ("show", "sent", "costs", "forget")
    parser.add_argument("action", nargs="?", choices=actions, default="show", help="default: show")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="sent: how many (default 20)")
    parser.add_argument("--days", type=int, default=30, metavar="N", help="costs: of how many days (default 30)")


def _answers(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.action == "forget":
        n_gone = client.answers.forget()
        return Result({"forgotten": n_gone}, f"{n_gone} forgotten here; what was sent, its server may still have")
    if not 1 <= arguments.limit <= _MAX_LISTED:
        raise UsageError(f"--limit: expected 1 to {_MAX_LISTED}, got {arguments.limit}", usage="")
    if arguments.action == "sent":
        items = client.answers.sent(arguments.limit)
        lines = [f"{item.sent_at.astimezone():%Y-%m-%d %H:%M}  {item.host}  {printable(item.prompt)}" for item in items]
        return Result({"sent": [item.facts() for item in items]}, "\n".join(lines) or "no question left this device")
    return _costs(client, arguments.days) if arguments.action == "costs" else _state(client)


def _costs(client: DeviceClient, days: int) -> Result:
    if not 1 <= days <= _MAX_DAYS:
        raise UsageError(f"--days: expected 1 to {_MAX_DAYS}, got {days}", usage="")
    lines, times = client.answers.costs(days)
    facts = {
        "days": days,
        "lines": [asdict(line) for line in lines],
        "times": {
            by: {"edges_s": list(EDGES_S), "counts": list(found.counts)}
            | {"p50_s": found.at_most_s(0.5)}
            | {"p95_s": found.at_most_s(0.95)}
            for by, found in times.items()
        },
    }
    shown = [
        f"{line.by:9} {line.outcome:12} {line.n:6}  {line.prompt_tokens:8} read {line.answer_tokens:8} written"
        f"  {line.micros / 1e6:.4f}"
        for line in lines
    ]
    shown += [
        f"{by:9} half within {_within(found, 0.5)}, 95 % within {_within(found, 0.95)}" for by, found in times.items()
    ]
    return Result(facts, "\n".join(shown) or f"no answers in {days} days")


def _within(times: Times, share: float) -> str:
    seconds = times.at_most_s(share)
    return f"over {EDGES_S[-1]:g} s" if seconds is None else f"{seconds:g} s"


def _state(client: DeviceClient) -> Result:
    state = client.answers.state()
    lines = [
        f"here        {state.local or 'no model of its own: PROJECTONE_ANSWERS_LOCAL_MODEL'}",
        f"elsewhere   {state.host or 'no server: PROJECTONE_ANSWERS_URL'}"
        + (f", model {state.model}" if state.host else ""),
        f"may leave   {'yes' if state.is_allowed else 'no: projectone consent grant hosted_answers'}",
        f"sent        {state.n_sent} questions in the last 30 days: projectone answers sent",
        f"kept        {state.n_kept} answers, for a week: projectone answers forget",
        f"last        templates {state.templates}, which always answer",
    ]
    return Result(state.facts(), "\n".join(lines))


ANSWER = Command(
    '  projectone answer "how long do eggs keep"\n'
    '  projectone answer "how long do eggs keep" --stream\n'
    '  projectone answer "write to Ana at 12 Mill Road" --preview    exactly what would leave; nobody is asked\n'
    "  projectone consent grant hosted_answers                       let questions leave for the server you set",
    _answer_arguments,
    _answer,
)
ANSWERS = Command(
    "  projectone answers                       who answers here, and whether anything may leave\n"
    "  projectone answers sent                  every question that left, as it left\n"
    "  projectone answers costs                 what they cost, and how long they took\n"
    "  projectone answers forget                drop that list and the answers that were kept",
    _answers_arguments,
    _answers,
)
