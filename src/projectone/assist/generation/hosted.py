"""A language model behind HTTP: any server that speaks OpenAI's chat completions, through the `openai` library.

Nothing is sent twice, no redirect is followed, no proxy and no setting of the environment is read, and of the library's
headers only those leave that a server needs. Whatever goes wrong has one of our names for it.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from projectone.assist.generation.completions import (
    check_length,
    cleaned,
    read_chunk,
    read_completion,
    tokens_at_most,
)
from projectone.assist.generation.protocol import (
    Answer,
    Cost,
    Event,
    GenerationError,
    GenerationRequest,
)
from projectone.errors import ConsentError, SettingsError

if TYPE_CHECKING:
    import openai

    from projectone.assist.generation.wire import Wire

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MOST_REMOVED: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class HostedServer:
    """Who is asked, and what it takes for it.

    Attributes:
        base_url: Such as ``https://api.example.org/v1``; in the clear only on this machine.
        model: As the server calls it.
        api_key: Empty for a server that wants none.
        prompt_price: Of a million tokens that it reads, in whatever currency: so many millionths for each.
        answer_price: Of a million tokens that it writes.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    prompt_price: float = 0.0
    answer_price: float = 0.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.base_url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            parts, host = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.username:
            raise SettingsError(f"answers: expected an address such as https://host/v1, got {self.base_url!r}")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise SettingsError(
                f"answers: expected https, got {self.base_url!r}: only this machine itself is reached in the clear"
            )
        if not self.model:
            raise SettingsError("answers: expected the name of a model")
        for price in (self.prompt_price, self.answer_price):
            if not (math.isfinite(price) and price >= 0):
                raise SettingsError(f"answers: expected a price of 0 or more, got {price!r}")

    @property
    def host(self) -> str:
        """Where questions go, as people are told."""
        return urlsplit(self.base_url).netloc

    def cost(self, prompt_tokens: int, answer_tokens: int) -> Cost:
        """What so many tokens cost, rounded up."""
        micros = prompt_tokens * self.prompt_price + answer_tokens * self.answer_price
        return Cost(prompt_tokens, answer_tokens, math.ceil(micros))


class HostedGenerator:
    """Asks a server.

    Args:
        server: Which.
        before_bytes_leave: Called last before each request, with what leaves; a `ConsentError` of it stops that.
    """

    name = "hosted"

    def __init__(
        self, server: HostedServer, *, before_bytes_leave: Callable[[GenerationRequest], object] = lambda request: None
    ) -> None:
        self._server = server
        self._before_bytes_leave = before_bytes_leave
        self._opened: tuple[openai.OpenAI, Wire] | None = None
        self._opening = threading.Lock()

    @property
    def model_version(self) -> str:
        """The model and where it is; what a server changes behind one name, nobody can know."""
        return f"{self._server.model}@{self._server.host}"

    def prepare(self) -> None:
        """Load what a request needs, before anybody waits for one.

        Raises:
            GenerationError: `not-installed`.
        """
        self._client()

    def close(self) -> None:
        """Let go of the connections."""
        if self._opened is not None:
            self._opened[0].close()

    def generate(self, request: GenerationRequest) -> Answer:
        """The server's whole answer, within the request's deadline.

        Raises:
            GenerationError: naming what went wrong.
        """
        begun_s = time.monotonic()
        client, wire = self._client()
        with self._told(wire), wire.until(begun_s + request.deadline_s):
            self._before_bytes_leave(request)
            raw = client.chat.completions.with_raw_response.create(**self._parameters(request))
            said = read_completion(raw.http_response.content)
        return self._answer(request, *said, begun_s)

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """The pieces as they come. A stream without its end is cut, however whole it looks.

        Raises:
            GenerationError: naming what went wrong.
        """
        begun_s = time.monotonic()
        ends_at = begun_s + request.deadline_s
        client, wire = self._client()
        with self._told(wire), wire.until(ends_at):
            self._before_bytes_leave(request)
            chunks = client.chat.completions.create(
                **self._parameters(request), stream=True, stream_options={"include_usage": True}
            )
        text, usage, is_ended = "", (0, 0), False
        try:
            while True:
                with self._told(wire), wire.until(ends_at, is_begun=True):
                    chunk = next(chunks, None)
                    piece, usage, is_ended = read_chunk(chunk, usage, is_ended) if chunk else ("", usage, is_ended)
                if chunk is None:
                    break
                piece = cleaned(piece) if text else cleaned(piece).lstrip()
                if piece:
                    text += piece
                    check_length(text)
                    yield piece
        finally:
            chunks.close()
        if not is_ended:
            raise GenerationError("cut", f"{self._server.host} ended in the middle of its answer")
        yield self._answer(request, text, usage, begun_s)

    def _answer(self, request: GenerationRequest, text: str, usage: tuple[int, int], begun_s: float) -> Answer:
        readable = cleaned(text).strip()
        check_length(readable)
        if not readable or len(readable) < (1 - _MOST_REMOVED) * len(text.strip()):
            raise GenerationError("garbage", f"{self._server.host} answered with nothing that could be read")
        prompt_tokens, answer_tokens = usage
        if not any(usage):  # not told: so many that nobody pays less than was used
            prompt_tokens = tokens_at_most(request.prompt + request.system)
            answer_tokens = tokens_at_most(text)
        return Answer(
            text=readable,
            by=self.name,
            model_version=self.model_version,
            seed=request.seed,
            took_s=time.monotonic() - begun_s,
            cost=self._server.cost(prompt_tokens, answer_tokens),
        )

    def _parameters(self, request: GenerationRequest) -> dict[str, Any]:
        messages = [{"role": "system", "content": request.system}] if request.system else []
        return {
            "model": self._server.model,
            "messages": [*messages, {"role": "user", "content": request.prompt}],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        }

    def _client(self) -> tuple[openai.OpenAI, Wire]:
        """Made for the first request: the library takes a second to load."""
        with self._opening:
            if self._opened is None:
                self._opened = self._made()
            return self._opened

    def _made(self) -> tuple[openai.OpenAI, Wire]:
        try:
            import httpx2
            import openai

            from projectone.assist.generation.wire import Wire
        except ImportError:
            raise GenerationError("not-installed", "pip install 'projectone[answers]'") from None
        wire = Wire(is_encrypted=self._server.base_url.startswith("https:"))
        key = self._server.api_key
        client = openai.OpenAI(
            api_key=key or "none",
            base_url=self._server.base_url,
            max_retries=0,
            timeout=None,  # the wire ends it
            http_client=httpx2.Client(transport=wire, trust_env=False, follow_redirects=False, timeout=None),
        )
        return client, wire

    @contextlib.contextmanager
    def _told(self, wire: Wire) -> Iterator[None]:
        """Our name for what goes wrong in the block. No message of the other side's: it could hold what was asked."""
        try:
            yield
        except (GenerationError, GeneratorExit):
            raise
        except ConsentError as error:
            raise GenerationError("no-consent", str(error)) from error
        except Exception as error:
            self._name(error, wire)

    def _name(self, error: Exception, wire: Wire) -> NoReturn:
        import openai

        from projectone.assist.generation.wire import TooMuchError

        host = self._server.host
        if isinstance(error, openai.APITimeoutError):
            raise GenerationError("timeout", f"{host} did not answer in time") from None
        if isinstance(error, openai.RateLimitError):
            wait_s = _seconds(error.response.headers.get("retry-after", ""))
            raise GenerationError("rate-limited", f"{host} wants fewer requests", retry_after_s=wait_s) from None
        if isinstance(error, openai.APIStatusError):
            is_down = error.status_code >= 500
            message = f"{host} answered with status {error.status_code}"
            raise GenerationError("down" if is_down else "refused", message) from None
        if isinstance(error, openai.APIConnectionError):
            if _was_caused_by(error, TooMuchError):
                raise GenerationError("too-long", f"{host} answers without end") from None
            if wire.n_read:
                raise GenerationError("cut", f"{host} broke off in the middle of its answer") from None
            raise GenerationError("down", f"{host} cannot be reached") from None
        if isinstance(error, openai.APIError):  # told in the middle of a stream
            raise GenerationError("cut", f"{host} failed in the middle of its answer") from None
        if isinstance(error, ValueError | RecursionError):
            raise GenerationError("garbage", f"{host} answered with something that is no JSON") from None
        raise GenerationError("failed", f"{host}: {type(error).__name__}") from None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < 86_400 else None


def _was_caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, kind):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
