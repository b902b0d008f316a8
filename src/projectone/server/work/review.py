"""`projectone-server corpus review`: samples that wait for a person, each with its reasons and its way on."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from projectone.contracts.texts import printable
from projectone.errors import DataError, SettingsError
from projectone.server.corpus.history import Histories
from projectone.server.corpus.review import (
    ACCEPTED,
    DOUBTED,
    LONGEST_S,
    REFUSED,
    SURPRISE,
    WORST,
    Decision,
    HeldSample,
    Reviews,
)
from projectone.server.corpus.validation import EXPLAINED
from projectone.server.corpus.vault import Vault
from projectone.server.database import Engine
from projectone.server.work.quarantine import user_name

_ALL = 1_000_000
_MAX_WHY_CHARACTERS = 2_000
_DECISIONS: dict[str, Decision] = {"accept": "accepted", "refuse": "refused", "hold": "doubted"}
_FOLLOWS = {
    ACCEPTED: "they wait for the next run",
    REFUSED: "nothing will be trained on them",
    DOUBTED: "nothing is trained on them until somebody accepts them",
}
EXAMPLES = """\
  projectone-server corpus review                         what waits for you, oldest first
  projectone-server corpus show 7d0c1f9e                  everything about one of them
  projectone-server corpus review accept 7d0c1f9e --why "a drug's number, nobody's"
  projectone-server corpus review refuse --reason personal-card
  projectone-server corpus review surprising              what waits and fits its sound worst, for the base model"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is done, with which samples, and why."""
    parser.add_argument(
        "do",
        nargs="?",
        choices=("list", "accept", "refuse", "surprising", "hold"),
        default="list",
        metavar="DO",
        help="list (default); accept: they wait for the next run; refuse: they are discarded; surprising: what waits "
        "and surprises the base model most; hold: put samples that wait before a person",
    )
    parser.add_argument("samples", nargs="*", metavar="ID", help="ids of held samples, or their beginnings")
    parser.add_argument("--reason", metavar="WORD", help="those held for this reason, such as foreign-letters")
    parser.add_argument("--why", metavar="TEXT", help="kept with the decision")
    parser.add_argument("--by", metavar="NAME", help="who decides (default: the user of this process)")
    parser.add_argument("--nats", type=float, default=1.0, help="what is surprising, in nats per token (default 1)")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many are listed (default 20)")


def execute(
    arguments: argparse.Namespace, engine: Engine, vault: Vault, read: Callable[[str], str]
) -> tuple[dict[str, Any], str]:
    """List or decide; gives the same for a program and for a person. `read` gives the sentence of a corrected intent.

    Raises:
        SettingsError: for a decision without samples, or a limit that shows nothing.
        DataError: ``sample-unknown`` or ``not-held``.
    """
    if not 1 <= arguments.limit <= _ALL:
        raise SettingsError(f"--limit: expected 1 to {_ALL}, got {arguments.limit}")
    if not math.isfinite(arguments.nats):
        raise SettingsError(f"--nats: expected a finite number, got {arguments.nats}")
    reviews = Reviews(engine, vault)
    if arguments.do in ("list", "surprising"):
        return _list(reviews, arguments, read)
    if bool(arguments.samples) == (arguments.reason is not None) or (arguments.do == "hold" and arguments.reason):
        raise SettingsError(f"{arguments.do}: expected ids of samples, or --reason WORD for all that are held for it")
    decision = _DECISIONS[arguments.do]
    wanted = _wanted(reviews, Histories(engine, vault), arguments)
    why = None if arguments.why is None else arguments.why.strip()[:_MAX_WHY_CHARACTERS] or None
    done = reviews.decide(wanted, decision, by=arguments.by or user_name(), why=why, now=datetime.now(UTC))
    return {"decision": decision, "samples": [str(i) for i in done]}, f"{len(done)} {decision}: {_FOLLOWS[decision]}"


def _list(reviews: Reviews, arguments: argparse.Namespace, read: Callable[[str], str]) -> tuple[dict[str, Any], str]:
    if arguments.samples:
        raise SettingsError("list: expected no ids; `corpus show ID` tells everything about one sample")
    if arguments.do == "surprising":
        samples = reviews.surprising(arguments.limit, at_least=arguments.nats)
    else:
        samples = reviews.held(arguments.limit, reason=arguments.reason)
    sentences = {sample.sample_id: _sentence(sample, read) for sample in samples}
    lines = [line for sample in samples for line in _lines(sample, sentences[sample.sample_id])]
    facts = [_facts(sample) | {"sentence": sentences[sample.sample_id]} for sample in samples]
    return {"samples": facts}, "\n".join(lines) or "nothing waits for a review"


def _wanted(reviews: Reviews, histories: Histories, arguments: argparse.Namespace) -> list[UUID]:
    if arguments.samples:
        return list(dict.fromkeys(histories.tell(named).sample.sample_id for named in arguments.samples))
    found = [sample.sample_id for sample in reviews.held(_ALL, reason=arguments.reason)]
    if not found:
        raise DataError("not-held", f"reason {arguments.reason!r}: no sample is held for it; see `corpus review`")
    return found


def _facts(sample: HeldSample) -> dict[str, Any]:
    plain = asdict(sample)
    checks = plain.pop("checks")
    return {
        **plain,
        "sample_id": str(sample.sample_id),
        "received_at": sample.received_at.isoformat(),
        "reasons": {reason: EXPLAINED.get(reason, "see the log of its run") for reason in sample.checks.held},
        "measures": checks["measures"],
    }


def _sentence(sample: HeldSample, read: Callable[[str], str]) -> str | None:
    """What a corrected intent is about; None of a recording, and of what went with a withdrawal just now."""
    if sample.kind != "intent":
        return None
    try:
        return read(sample.clip_sha256)
    except DataError:
        return None


def _lines(sample: HeldSample, sentence: str | None) -> list[str]:
    when, text = f"{sample.received_at:%Y-%m-%d %H:%M}", printable(sample.text)
    what = f"{sample.duration_s:5.1f} s" if sentence is None else "intent "
    first = f"{str(sample.sample_id)[:8]}  {when}  {what}  {text}"
    if sentence is not None:
        first += f"  <-  {printable(sentence)}"
    lines = [first, *(f"          {reason}: {EXPLAINED.get(reason, '')}" for reason in sample.checks.held)]
    if sample.heard is not None and SURPRISE in sample.checks.measures:
        surprise = sample.checks.measures[SURPRISE]
        lines.append(f"          heard {printable(sample.heard)}: likelier by {surprise:.1f} nats per token")
    if WORST in sample.checks.measures:
        worst, longest_s = (sample.checks.measures[name] for name in (WORST, LONGEST_S))
        lines.append(f"          least likely token {worst:.1f} nats; one token for {longest_s:.1f} s of sound")
    return lines
