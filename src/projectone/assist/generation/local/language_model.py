"""A language model of this machine, through mlx-lm: nothing leaves, and the same seed says the same."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from projectone.assist.generation.completions import check_length, cleaned
from projectone.assist.generation.protocol import Answer, Cost, Event, GenerationError, GenerationRequest
from projectone.errors import SettingsError

_MAX_PROMPT_TOKENS: Final = 4_096
_IDENTITY_FILES: Final = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


class LocalGenerator:
    """Asks a model in a folder, as `mlx_lm.convert` or the Hub's mlx-community leaves it.

    One request after the other: two at once would take twice as long each, and would share their random numbers.
    No code of the folder's is run.

    Args:
        folder: With `config.json`, safetensors and a tokenizer.

    Raises:
        SettingsError: if there is no such folder.
    """

    name = "local"

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").is_file():
            raise SettingsError(f"answers: expected a language model in {str(folder)!r}: a folder with config.json")
        self._folder = folder
        self._lock = threading.Lock()

    @cached_property
    def model_version(self) -> str:
        """The folder's name and a digest of its weights, settings and tokenizer."""
        digest = hashlib.sha256()
        present = [self._folder / name for name in _IDENTITY_FILES if (self._folder / name).is_file()]
        for path in (*present, *sorted(self._folder.glob("*.safetensors"))):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
        return f"{self._folder.name}-{digest.hexdigest()[:12]}"

    def prepare(self) -> None:
        """Read the model, before anybody waits for an answer of it.

        Raises:
            GenerationError: `not-installed`, or `failed` for a folder that cannot be read.
        """
        with self._lock:
            _ = self._loaded, self.model_version

    def generate(self, request: GenerationRequest) -> Answer:
        """The model's whole answer, within the request's deadline.

        Raises:
            GenerationError: `timeout`, `too-long` for a prompt that does not fit, `garbage` for no text,
                `not-installed` without mlx-lm.
        """
        for event in self.stream(request):
            if isinstance(event, Answer):
                return event
        raise GenerationError("failed", "the local model ended without an answer")

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """Word for word as the model writes.

        Raises:
            GenerationError: as `generate`.
        """
        begun_s = time.monotonic()
        ends_at = begun_s + request.deadline_s
        if not self._lock.acquire(timeout=request.deadline_s):
            raise GenerationError("timeout", "the local model is still busy with another answer")
        try:
            yield from self._written(request, begun_s, ends_at)
        finally:
            self._lock.release()

    def _written(self, request: GenerationRequest, begun_s: float, ends_at: float) -> Iterator[Event]:
        model, tokenizer = self._loaded
        from mlx import core as mx
        from mlx_lm import stream_generate
        from mlx_lm.sample_utils import make_sampler

        tokens = self._tokens(tokenizer, request)
        mx.random.seed(request.seed)
        text, n_tokens = "", 0
        for said in stream_generate(
            model, tokenizer, tokens, max_tokens=request.max_tokens, sampler=make_sampler(temp=request.temperature)
        ):
            if time.monotonic() > ends_at:
                raise GenerationError("timeout", f"the local model was not done within {request.deadline_s:.3g} s")
            n_tokens = said.generation_tokens
            piece = cleaned(said.text) if text else cleaned(said.text).lstrip()
            if piece:
                text += piece
                check_length(text)
                yield piece
        if not text.strip():
            raise GenerationError("garbage", "the local model wrote nothing")
        yield Answer(
            text=text.strip(),
            by=self.name,
            model_version=self.model_version,
            seed=request.seed,
            took_s=time.monotonic() - begun_s,
            cost=Cost(len(tokens), n_tokens),
        )

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        try:
            from mlx_lm import load
        except ImportError:
            raise GenerationError("not-installed", "pip install 'projectone[local-answers]'") from None
        try:
            return load(str(self._folder), trust_remote_code=False)[:2]
        except Exception as error:  # whatever a folder can be wrong in
            raise GenerationError("failed", f"the local model cannot be read: {type(error).__name__}") from error

    def _tokens(self, tokenizer: Any, request: GenerationRequest) -> list[int]:  # noqa: ANN401 - mlx_lm's wrapper
        messages = [{"role": "system", "content": request.system}] if request.system else []
        messages.append({"role": "user", "content": request.prompt})
        if tokenizer.chat_template is not None:
            tokens = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        else:
            tokens = tokenizer.encode("\n".join(message["content"] for message in messages))
        if len(tokens) > _MAX_PROMPT_TOKENS:
            raise GenerationError("too-long", f"expected a prompt of at most {_MAX_PROMPT_TOKENS} tokens")
        return list(tokens)
