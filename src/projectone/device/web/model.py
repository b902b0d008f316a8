"""The model in use: which one, since when, what it changed for this person, and the ways forward and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.adoption import Adoption, AdoptionState, KeptModel
from projectone.device.adoption.news import news_of
from projectone.device.adoption.offered import cost_words, offer_facts, offer_words, size_words
from projectone.device.adoption.offered import when_words as offer_when
from projectone.device.client import DeviceClient
from projectone.device.updater import UpdateReport
from projectone.device.web.answers import job_answer, json_answer
from projectone.device.web.bodies import reads_json, switch_field
from projectone.device.web.context import WebContext
from projectone.device.web.jobs import Report
from projectone.device.web.moments import when_shown, when_words
from projectone.errors import DataError

_ROLES: Final[dict[str, str]] = {
    "current": "in use",
    "previous": "kept to go back to",
    "staged": "waits for its trial",
    "base": "what updates are built from",
}
_NOUNS: Final[dict[str, str]] = {"speech": "model", "intents": "classifier", "safety": "safety classifier"}
_KINDS: Final[dict[str, str]] = {"speech": "Speech", "intents": "Meanings", "safety": "Safety"}
_BESIDES: Final[tuple[Family, ...]] = ("intents", "safety")
_MOST_COMPARED: Final = 6


def routes(context: WebContext) -> list[Route]:
    """The page, and under /api/model what it does: look, update, go back, automatic updates on and off."""
    client = context.client

    def page(request: Request) -> Response:
        return context.page(request, "model", title="Model", when=when_shown, size=size_words, **model_facts(client))

    def show(request: Request) -> Response:
        return json_answer(_document(client))

    def update(request: Request, body: Mapping[str, Any]) -> Response:
        is_again, is_early = switch_field(body, "is_again", False), switch_field(body, "is_early", False)
        family = _family(body)

        def work(report: Report) -> dict[str, Any]:
            done = client.update(
                lambda have, total: report(have, total, f"{have / 1e6:.1f} of {total / 1e6:.1f} MB"),
                is_again=is_again,
                is_early=is_early,
                family=family,
            )
            return {"status": done.status, "words": update_words(done, family), "received_bytes": done.received_bytes}

        return job_answer(context.jobs.start("update", work))

    def look(request: Request, body: Mapping[str, Any]) -> Response:
        family = _family(body)

        def work(report: Report) -> dict[str, Any]:
            found = client.adoptions[family].look_for_newer()
            is_shown = client.adoptions[family].offered() is not None
            return {"status": found.offer.status, "words": offer_words(found, _NOUNS[family]), "is_shown": is_shown}

        return job_answer(context.jobs.start(f"look {family}", work))

    def go_back(request: Request, body: Mapping[str, Any]) -> Response:
        return json_answer({"version": client.roll_back(_family(body))})

    def switch(request: Request, body: Mapping[str, Any]) -> Response:
        client.adoption.switch(switch_field(body, "is_on"))
        return json_answer(_document(client))

    def say_how_it_does(request: Request, body: Mapping[str, Any]) -> Response:
        client.report_health(is_on=switch_field(body, "is_on"))
        return json_answer(_document(client))

    return [
        Route("/model", page),
        Route("/api/model", show),
        Route("/api/model/look", reads_json(look), methods=["POST"]),
        Route("/api/model/update", reads_json(update), methods=["POST"]),
        Route("/api/model/back", reads_json(go_back), methods=["POST"]),
        Route("/api/model/automatic", reads_json(switch), methods=["PUT"]),
        Route("/api/model/health", reads_json(say_how_it_does), methods=["PUT"]),
    ]


def model_facts(client: DeviceClient) -> dict[str, Any]:
    """What the page shows."""
    seen = client.adoption.conditions()  # once: a page that asked for every line of it would come late
    states = {family: adoption.state(seen) for family, adoption in client.adoptions.items()}
    device, manifest = client.status(), client.adoption.manifest()
    comparisons = client.adoption.comparisons()[:_MOST_COMPARED]
    return {
        "device": device,
        "state": states[DEFAULT_FAMILY],
        "manifest": manifest,
        "news": news_of(manifest) if manifest else [],
        "offered": _offered(client.adoption, states[DEFAULT_FAMILY]),
        "comparisons": comparisons,
        "most_wrong": max(
            (max(item.wrong_before, item.wrong_after) / max(1, item.n_words) for item in comparisons), default=0
        ),
        "models": [(model, f"{kind}: {_ROLES[model.role]}") for kind, model in _on_disk(states)],
        "used_bytes": sum(state.used_bytes for state in states.values()),
        "classifiers": {family: _classifier(client.adoptions[family], states[family], family) for family in _BESIDES},
        "said": [(item.seq, json.dumps(item.counts.model_dump(), indent=2)) for item in client.health()],
    }


def _classifier(adoption: Adoption, state: AdoptionState, family: Family) -> dict[str, Any]:
    """What the page says of the small models beside the one that hears."""
    manifest = adoption.manifest()
    return {
        "noun": _NOUNS[family],
        "state": state,
        "before": next((item.version for item in state.models if item.role == "previous"), None),
        "news": news_of(manifest) if manifest else [],
        "compared": adoption.comparisons()[:1],
        "offered": _offered(adoption, state),
    }


def _offered(adoption: Adoption, state: AdoptionState) -> dict[str, Any] | None:
    """A newer release that was looked at, as the page tells of it; None if there is none."""
    found = adoption.offered()
    if found is None:
        return None
    cost = found.offer.cost
    return offer_facts(found) | {
        "release": found.offer.release,
        "size": cost_words(cost) if cost else "Nothing is left to fetch.",
        "when": offer_when(found, is_automatic=state.is_automatic, waits=state.waits_for, shown=when_words),
    }


def _on_disk(states: Mapping[Family, AdoptionState]) -> list[tuple[str, KeptModel]]:
    return [(_KINDS[family], model) for family, state in states.items() for model in state.models]


def _family(body: Mapping[str, Any]) -> Family:
    """What is meant: the speech model, unless it is said otherwise.

    Raises:
        DataError: if there is no such family.
    """
    family = body.get("family", DEFAULT_FAMILY)
    if family not in _NOUNS:
        raise DataError("bad-request", f"family: expected one of {', '.join(_NOUNS)}, got {str(family)[:40]!r}")
    return cast(Family, family)


def update_words(report: UpdateReport, family: Family = DEFAULT_FAMILY) -> str:
    """What an update did, as a sentence."""
    noun = _NOUNS[family]
    name = noun.capitalize()
    stays = f"{name} {report.from_version} stays in use." if report.from_version else f"There is no {noun} in use."
    return {
        "updated": f"{name} {report.to_version} is in use.",
        "current": f"{name} {report.to_version} is the newest there is.",
        "no-release": f"The server has released no {noun} yet.",
        "staged": f"{report.reason}. {stays}",
        "set-aside": f"The newest {noun} was set aside here: {report.reason}. {stays}",
        "waiting": f"{report.reason}. {stays}",
        "halted": f"The server stopped the newest {noun}: {report.reason}. {stays}",
        "rejected": f"The new {noun} was not taken: {report.reason}. {stays}",
    }[report.status]


def _state_document(state: AdoptionState) -> dict[str, Any]:
    return {"version": state.version, "words": state.words}


def _document(client: DeviceClient) -> dict[str, Any]:
    device, state, manifest = client.status(), client.adoption.state(), client.adoption.manifest()
    found = client.adoption.offered()
    return {
        "version": state.version,
        "since": state.since and state.since.isoformat(),
        "phase": state.phase,
        "words": state.words,
        "news": news_of(manifest) if manifest else [],
        "offered": None if found is None else offer_facts(found),
        "previous_version": device.previous_version,
        "is_automatic": state.is_automatic,
        "is_reporting": device.is_reporting,
        "audit_log": device.history.facts(),
        "waits_for": list(state.waits_for),
        "used_bytes": state.used_bytes,
        "budget_bytes": state.budget_bytes,
        "models": [
            {"version": item.version, "seq": item.seq, "role": item.role, "size_bytes": item.size_bytes}
            for item in state.models
        ],
        "set_aside": [item.model_dump() for item in device.set_aside],
        "comparisons": [item.facts() for item in client.adoption.comparisons()],
        **{family: _state_document(client.adoptions[family].state()) for family in _BESIDES},
    }
