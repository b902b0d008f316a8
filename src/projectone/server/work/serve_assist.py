"""`projectone-server serve-assist`: the small models, language models and speech as a service."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from projectone.assist.generation.protocol import GenerationRequest
from projectone.assist.vectors.protocol import Owner
from projectone.errors import SettingsError, UsageError
from projectone.server.logs import logging_to
from projectone.server.replicas.app import create_app
from projectone.server.replicas.asking import Asking, LocalModels
from projectone.server.replicas.costs import CostBook, CountedAsking, Prices
from projectone.server.replicas.http_client import HttpReplicas
from projectone.server.replicas.models import KINDS, TEMPLATES, Kind, ModelPlaces
from projectone.server.replicas.served import ServedClassifier, ServedEmbedder, ServedGenerator, ServedSpeech
from projectone.server.replicas.sizing import SIZINGS, Sizing
from projectone.server.settings import ServerSettings
from projectone.server.work.assist_costs import costs
from projectone.server.work.clips import open_decoder
from projectone.storage.files import make_folder

if TYPE_CHECKING:
    from projectone.server.memories.routes import MemoryRoutes

SUMMARY = (
    "Classifiers, sentence vectors, answers and transcription for your own programs, over HTTP on this machine: in "
    "this process, or with --ray on a cluster that grows and shrinks with the load."
)
EXAMPLES = """\
  projectone-server serve-assist run --classifier out/intents --generator templates
  projectone-server serve-assist run --classifier out/intents --speech starter-folder --ray local
  projectone-server serve-assist run --classifier out/intents --ray auto --min 2 --max 16
  projectone-server serve-assist run --memory        # the memories of your product's people (docs/memory.md)
  projectone-server serve-assist ask classify "how warm is it" --json
  projectone-server serve-assist ask transcribe note.wav
  projectone-server serve-assist costs --days 7 --json     # of each tenant: who answered, tokens, cost, times"""

_HOST, _PORT = "127.0.0.1", 8704
_TOKEN = "assist.token"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    running = actions.add_parser("run", help="serve until it is stopped")
    running.add_argument("--classifier", type=Path, metavar="DIR", help="what `assist train` wrote")
    running.add_argument("--encoder", type=Path, metavar="DIR", help="a sentence encoder as Hugging Face keeps one")
    running.add_argument("--generator", metavar="DIR", help=f"a language model's folder, or {TEMPLATES!r}")
    running.add_argument("--speech", type=Path, metavar="DIR", help="a Whisper checkpoint")
    running.add_argument(
        "--memory", action="store_true", help="memories of your product's people too (`memories grant` lets it in)"
    )
    running.add_argument("--language", default="en", help="of the recordings (default en)")
    running.add_argument("--numerics", choices=("float32", "int8"), default="float32", help="default float32")
    running.add_argument(
        "--ray", metavar="ADDRESS", help="`local`, `auto` for this machine's cluster, or ray://HOST:PORT; not: here"
    )
    running.add_argument("--min", type=int, default=1, metavar="N", help="warm replicas of each model (default 1)")
    running.add_argument("--max", type=int, default=4, metavar="N", help="replicas under load (default 4)")
    running.add_argument("--cpus", type=float, default=1.0, metavar="N", help="of a replica (default 1)")
    asking = actions.add_parser("ask", help="ask a running service once")
    asking.add_argument("kind", choices=KINDS)
    asking.add_argument("what", help="a text, or for transcribe a sound file")
    asking.add_argument("--url", default=f"http://{_HOST}:{_PORT}", help="default: the one on this machine")
    counting = actions.add_parser("costs", help="what answers cost each tenant, who gave them, how long they took")
    counting.add_argument("--days", type=int, default=30, metavar="N", help="of how many days (default 30)")
    counting.add_argument("--tenant", help="of this one alone")
    for action in (running, asking):
        action.add_argument(
            "--token-file", type=Path, metavar="FILE", help="default: assist.token in the server's home"
        )
    for action in (running, asking, counting):
        action.add_argument("--json", action="store_true", help="print one JSON object")
    running.add_argument(
        "--port", type=int, default=_PORT, help=f"on this machine alone; 0: any that is free (default {_PORT})"
    )


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Serve, or ask."""
    if arguments.action == "costs":
        facts, text = costs(settings, arguments.days, arguments.tenant)
        print(json.dumps(facts) if arguments.json else text)
        return 0
    token_file = arguments.token_file or settings.home / _TOKEN
    if arguments.action == "run":
        with _memory(settings, is_wanted=arguments.memory) as memory:
            return _run(arguments, settings, _token(token_file), memory)
    try:
        token = token_file.read_text().strip()
    except OSError as error:
        raise SettingsError(f"{token_file}: {error.strerror}; `serve-assist run` makes it") from error
    with HttpReplicas(arguments.url, token) as replicas:
        facts, text = _ASKED[arguments.kind](replicas, arguments.what)
    print(json.dumps(facts) if arguments.json else text)
    return 0


def places_of(arguments: argparse.Namespace) -> ModelPlaces:
    """Which models the command line names.

    Raises:
        UsageError: if it names none.
        SettingsError: if a folder is not there.
    """
    generator = arguments.generator
    places = ModelPlaces(
        classifier=_folder(arguments.classifier),
        encoder=_folder(arguments.encoder),
        generator=TEMPLATES if generator == TEMPLATES else _folder(generator and Path(generator)),
        speech=_folder(arguments.speech),
        language=arguments.language,
        numerics=arguments.numerics,
    )
    if not places.kinds and not arguments.memory:
        raise UsageError("serve-assist run: expected --classifier, --encoder, --generator, --speech or --memory")
    return places


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise SettingsError(f"{path}: there is no such folder")
    return None if path is None else path.absolute()


def _run(arguments: argparse.Namespace, settings: ServerSettings, token: str, memory: MemoryRoutes | None) -> int:
    places = places_of(arguments)
    with _bound(arguments.port) as bound:  # before anything is loaded that takes its time
        models = _models(arguments, places)
        try:
            config = uvicorn.Config(
                _app(models, places, settings, token, memory),
                lifespan="off",
                access_log=False,
                server_header=False,
                log_config=None,
                proxy_headers=False,
            )
            url = f"http://{_HOST}:{bound.getsockname()[1]}"
            shown = {"url": url, "kinds": list(places.kinds), "ray": arguments.ray, "memory": arguments.memory}
            served = ", ".join([*places.kinds, *(["memory"] if arguments.memory else [])])
            said = json.dumps(shown) if arguments.json else f"{url}: {served}; Ctrl-C stops"
            print(said, flush=True)
            with logging_to(sys.stderr, has_requests=False), suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[bound])
        finally:
            models.close()
    return 0


def _app(
    models: Asking, places: ModelPlaces, settings: ServerSettings, token: str, memory: MemoryRoutes | None
) -> Callable[..., Awaitable[None]]:
    """The service, its answers in words counted, with memories beside it where they are wanted."""
    book, by = CostBook.in_home(settings.home), "template" if places.generator == TEMPLATES else "local"
    return create_app(
        CountedAsking(models, book, by=by, prices=Prices(*settings.answers_prices)),
        places.kinds,
        token=token,
        beside=[] if memory is None else memory.routes(),
        costs=book,
        tenant_of=_nobody if memory is None else memory.tenant_of,
    )


def _nobody(_: str) -> None:
    """Without memories no tenant has a token."""


@contextmanager
def _memory(settings: ServerSettings, *, is_wanted: bool) -> Iterator[MemoryRoutes | None]:
    """What no model answers."""
    if not is_wanted:
        yield None
        return
    from projectone.server.work.hosted_memory import memory_routes  # only here is there a database

    with memory_routes(settings) as memory:
        yield memory


def _bound(port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise SettingsError(f"--port: expected 0 to 65535, got {port}")
    try:
        return socket.create_server((_HOST, port), backlog=1024)
    except OSError as error:
        raise SettingsError(f"--port: expected a free port of this machine, got {port} ({error})") from error


def _models(arguments: argparse.Namespace, places: ModelPlaces) -> Any:  # noqa: ANN401 - `Asking` that can be closed
    if arguments.ray is None:
        models = LocalModels(places)
        models.warm_up()
        return models
    from projectone.server.replicas.ray_serve import RayReplicas  # only here is there Ray

    try:
        sizings = {kind: _sized(SIZINGS[kind], arguments) for kind in places.kinds}
    except ValueError as error:
        raise UsageError(f"serve-assist run: {error}") from error
    return RayReplicas(places, address=arguments.ray, sizings=sizings)


def _sized(sizing: Sizing, arguments: argparse.Namespace) -> Sizing:
    wanted = {"min_replicas": arguments.min, "max_replicas": arguments.max, "n_cpus": arguments.cpus}
    return Sizing(**{**asdict(sizing), **wanted})


def _token(path: Path) -> str:
    """The token that whoever asks must bring; made at the first start, for this account's eyes alone."""
    if not path.exists():
        make_folder(path.parent)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    token = path.read_text().strip()
    if len(token) < 16:
        raise SettingsError(f"{path}: expected a token of 16 characters or more")
    return token


def _classify(replicas: HttpReplicas, text: str) -> tuple[dict[str, Any], str]:
    (found,) = ServedClassifier(replicas).classify([text])
    return asdict(found), f"{found.label or '(none of these)'}  {found.probability:.2f}"


def _embed(replicas: HttpReplicas, text: str) -> tuple[dict[str, Any], str]:
    vector = [float(value) for value in ServedEmbedder(replicas).embed([text])[0]]
    return {"vector": vector}, " ".join(f"{value:.4f}" for value in vector)


def _generate(replicas: HttpReplicas, text: str) -> tuple[dict[str, Any], str]:
    request = GenerationRequest(owner=Owner("projectone", "operator"), prompt=text, deadline_s=30.0)
    answer = ServedGenerator(replicas, model_version="as served").generate(request)
    return asdict(answer), answer.text


def _transcribe(replicas: HttpReplicas, path: str) -> tuple[dict[str, Any], str]:
    with open_decoder() as decode:
        heard = ServedSpeech(replicas).transcribe(decode(Path(path)))
    return asdict(heard), heard.text


_ASKED: dict[Kind, Callable[[HttpReplicas, str], tuple[dict[str, Any], str]]] = {
    "classify": _classify,
    "embed": _embed,
    "generate": _generate,
    "transcribe": _transcribe,
}
