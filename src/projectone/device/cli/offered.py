"""`projectone update --check`: what is new in the newest release, how much is to be fetched, when it comes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.adoption import Adoption, Offered
from projectone.device.adoption.offered import cost_words, offer_facts, offer_words, when_words
from projectone.device.cli.results import Result

_NOT_DONE: Final = ("no-release", "set-aside", "unsupported")
_TAKES: Final = {
    "offered": "`projectone update` brings it now.",
    "here": "`projectone update` tries it now.",
    "waiting": "`projectone update --now` takes it before your turn.",
    "set-aside": "`projectone update --again` takes it all the same.",
}


def checked(
    adoptions: Mapping[Family, Adoption], nouns: Mapping[str, str], *, is_again: bool, is_early: bool
) -> Result:
    """What a look at each family's newest release says; nothing of it is fetched.

    Args:
        adoptions: The families that are asked about.
        nouns: What people call one of their models.
        is_again: As if a release that was set aside were wanted.
        is_early: As if it were wanted before this device's turn.
    """
    results = {
        family: _one(adoption, nouns[family], is_again=is_again, is_early=is_early)
        for family, adoption in adoptions.items()
    }
    # A server that has released one family of two lacks nothing that anybody was promised.
    said = {
        family: result
        for family, result in results.items()
        if len(results) == 1 or family == DEFAULT_FAMILY or result.facts["status"] != "no-release"
    }
    promised = [result for result in said.values() if result.facts["status"] != "no-release"]
    facts: dict[str, Any] = {family: result.facts for family, result in results.items()}
    is_any_offered = any(result.facts["is_offered"] for result in results.values())
    return Result(
        {**next(iter(facts.values())), "is_offered": is_any_offered, "families": facts},
        "\n\n".join(result.text for result in said.values()),
        is_done=is_any_offered or (bool(promised) and all(result.is_done for result in promised)),
    )


def _one(adoption: Adoption, noun: str, *, is_again: bool, is_early: bool) -> Result:
    found, state = adoption.look_for_newer(is_again=is_again, is_early=is_early), adoption.state()
    when = when_words(found, is_automatic=state.is_automatic, waits=state.waits_for, shown=_shown)
    facts = offer_facts(found) | {"words": offer_words(found, noun), "when": when}
    return Result(facts, _text(found, noun, when), is_done=found.offer.status not in _NOT_DONE)


def _text(found: Offered, noun: str, when: str) -> str:
    offer = found.offer
    lines = [f"{noun.split()[0]:11}{offer_words(found, noun)}"]
    if offer.from_version and found.is_newer:
        lines.append(f"in use     {offer.from_version}")
    if offer.cost is not None:
        lines.append(f"size       {cost_words(offer.cost)}")
    told = " ".join(filter(None, [_TAKES.get(offer.status), when]))
    if told:
        lines.append(f"when       {told}")
    if found.is_newer and offer.status != "halted":
        lines += ["", "What is new in it:", *(f"  {line}" for line in found.news)]
    return "\n".join(lines)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
