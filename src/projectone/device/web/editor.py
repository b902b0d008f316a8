"""One recording: heard again, word by word, and corrected in place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.client import DeviceClient
from projectone.device.forms import FORMS
from projectone.device.heard import DOUBT
from projectone.device.recordings import Recording
from projectone.device.seen import Seen
from projectone.device.web.answers import json_answer
from projectone.device.web.bodies import optional_text_field, reads_json, switch_field, text_field
from projectone.device.web.context import WebContext
from projectone.device.web.fates import fate_words
from projectone.device.web.sounds import sound_answer

_COLUMNS = 480
_MEDIA_TYPES = {"srt": "application/x-subrip", "vtt": "text/vtt", "txt": "text/plain"}


def routes(context: WebContext) -> list[Route]:
    """The page of a recording, and /api/recordings/{id}: facts, sound, picture, correction."""
    client = context.client

    def facts_of(recording: Recording) -> dict[str, Any]:
        fate = client.library.fate(recording)
        return {
            **recording.facts(),
            "words": [[word.text, word.start_s, word.end_s, word.probability] for word in recording.words],
            "doubt": DOUBT,
            "others_present": fate.others_present,
            "state": fate.state,
            "is_there": fate.is_there,
            "fate": fate_words(fate, is_allowed=client.consents()["corrections"] is not None),
        }

    def page(request: Request) -> Response:
        recording = client.recording(request.path_params["recording_id"])
        facts = facts_of(recording)
        facts["peaks"] = client.library.peaks(recording.recording_id, _COLUMNS)
        return context.page(request, "recording", title=_title(recording), facts=facts)

    def one(request: Request) -> Response:
        return json_answer(facts_of(client.recording(request.path_params["recording_id"])))

    def sound(request: Request) -> Response:
        recording_id = client.recording(request.path_params["recording_id"]).recording_id
        size = client.library.sound_size(recording_id)
        return sound_answer(request, size, partial(client.library.sound_part, recording_id))

    def waveform(request: Request) -> Response:
        return json_answer({"peaks": client.library.peaks(request.path_params["recording_id"], _COLUMNS)})

    def correct(request: Request, body: Mapping[str, Any]) -> Response:
        recording_id = client.recording(request.path_params["recording_id"]).recording_id
        text, others = text_field(body, "text"), switch_field(body, "others_present", default=False)
        kept = client.correct(recording_id, text, others_present=others, seen=_seen(body))
        return json_answer({**facts_of(client.recording(recording_id)), "learned": list(kept.learned)})

    def take_back(request: Request, body: Mapping[str, Any]) -> Response:
        recording = client.recording(request.path_params["recording_id"])
        if not client.undo_recording(recording.recording_id, seen=_seen(body)):
            raise HTTPException(404)
        return json_answer({**facts_of(client.recording(recording.recording_id)), "learned": []})

    def delete(request: Request) -> Response:
        undone = client.delete_recording(request.path_params["recording_id"])
        return json_answer({"may_have_left": any(item.may_have_left for item in undone)})

    path = "/api/recordings/{recording_id}"
    return [
        Route("/recordings/{recording_id}", page),
        Route(path, one),
        Route(path, delete, methods=["DELETE"]),
        Route(f"{path}/audio", sound),
        Route(f"{path}/waveform", waveform),
        Route(f"{path}/as/{{form}}", partial(_saved, client)),
        Route(f"{path}/correction", reads_json(correct), methods=["PUT"]),
        Route(f"{path}/correction", reads_json(take_back), methods=["DELETE"]),
    ]


def _seen(body: Mapping[str, Any]) -> Seen | None:
    """What the page showed when somebody decided; a program that names nothing is not asked."""
    return Seen(optional_text_field(body, "instead_of")) if "instead_of" in body else None


def _saved(client: DeviceClient, request: Request) -> Response:
    """A recording as a file for other programs."""
    recording, form = client.recording(request.path_params["recording_id"]), request.path_params["form"]
    if form not in FORMS:
        raise HTTPException(404)
    name = f"{recording.recorded_at.astimezone():%Y-%m-%d %H.%M}.{form}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(FORMS[form](recording).encode(), media_type=_MEDIA_TYPES[form], headers=headers)


def _title(recording: Recording) -> str:
    moment = recording.recorded_at.astimezone()
    return f"{moment:%A} {moment.day} {moment:%B}, {moment:%H:%M}"
