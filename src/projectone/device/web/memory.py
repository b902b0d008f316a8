"""What this device remembers: the switch, everything that is kept, and the way out for one memory or all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.assist.memory import MAX_CHARACTERS, Kind, Remembered, Retention
from projectone.device.client import DeviceClient
from projectone.device.web.answers import json_answer
from projectone.device.web.bodies import reads_json, switch_field, text_field
from projectone.device.web.context import WebContext
from projectone.device.web.moments import day_shown, when_shown
from projectone.device.web.stretches import Stretch, skip_of, stretch_of
from projectone.errors import DataError

_MOST_LETTERS: Final = 200
_FROM: Final[Mapping[Kind, str]] = {
    "said": "From a recording",
    "asked": "You asked this",
    "noted": "You wrote this",
}
_KINDS: Final[Mapping[Kind, str]] = {
    "said": "What you say in recordings",
    "asked": "What you ask",
    "noted": "What you write here",
}


def routes(context: WebContext) -> list[Route]:
    """The page; under /api/memory everything, PUT the switch, POST a note, DELETE one or all."""
    client = context.client

    def page(request: Request) -> Response:
        words, stretch = _words(request), _stretch(client, request, "/memory")
        memory = client.memory
        return context.page(
            request,
            "memory",
            title=f"Memory from number {stretch.first} on" if stretch.first > 1 else "Memory",
            stretch=stretch,
            n=memory.count(),
            words=words,
            is_on=memory.is_on,
            longest=MAX_CHARACTERS,
            kept=kept_lines(memory.retention),
            origin=origin_words,
            when=when_shown,
            day=day_shown,
        )

    def show(request: Request) -> Response:
        found = _stretch(client, request, "/api/memory")
        memories = [item.facts() for item in found.items]
        return json_answer({**_standing(client), "memories": memories, "earlier": found.earlier})

    def switch(request: Request, body: Mapping[str, Any]) -> Response:
        client.memory.switch(is_on=switch_field(body, "is_on"))
        return json_answer(_standing(client))

    def add(request: Request, body: Mapping[str, Any]) -> Response:
        kept = client.memory.note(text_field(body, "text"))
        if kept is None:
            raise DataError("memory-text", "Nothing was kept: there is no word in it, or notes are kept for 0 days.")
        return json_answer(kept.facts(), 201)

    def forget(request: Request) -> Response:
        return json_answer(client.memory.forget(str(request.path_params["memory_id"])).facts())

    def forget_all(request: Request) -> Response:
        return json_answer({"forgotten": client.memory.forget_all()})

    return [
        Route("/memory", page),
        Route("/api/memory", show),
        Route("/api/memory", reads_json(switch), methods=["PUT"]),
        Route("/api/memory", reads_json(add), methods=["POST"]),
        Route("/api/memory", forget_all, methods=["DELETE"]),
        Route("/api/memory/{memory_id}", forget, methods=["DELETE"]),
    ]


def _stretch(client: DeviceClient, request: Request, path: str) -> Stretch[Remembered]:
    words, memory = _words(request), client.memory

    def find(limit: int, skip: int) -> list[Remembered]:
        return memory.search(words, limit, skip=skip) if words else memory.newest(limit, skip=skip)

    return stretch_of(find, skip_of(request), path=path, n=None if words else memory.count(), by={"words": words})


def origin_words(memory: Remembered) -> str:
    """Where a memory came from."""
    return _FROM[memory.about.kind]


def kept_lines(retention: Retention) -> list[tuple[str, str]]:
    """How long what is kept."""
    days = retention.described()
    return [(label, _days_shown(days[kind])) for kind, label in _KINDS.items()]


def _days_shown(days: int | None) -> str:
    if days is None:
        return "kept until you forget it"
    return "not kept" if days == 0 else f"kept for {days} {'day' if days == 1 else 'days'}"


def _standing(client: DeviceClient) -> dict[str, Any]:
    memory = client.memory
    return {"is_on": memory.is_on, "count": memory.count(), "days": memory.retention.described()}


def _words(request: Request) -> str:
    return request.query_params.get("words", "")[:_MOST_LETTERS].strip()
