"""`generation_config.json`: which ids mean what, which are never written, and what is written first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from projectone.errors import ArtifactError
from projectone.speech.json_files import integer_at, integers_at, table_at
from projectone.speech.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """`generation_config.json`: which ids mean what, and which are never written.

    Attributes:
        alignment_heads: (layer, head) pairs whose attention follows the audio.
        extra: The whole file, for the keys that are not used here.
    """

    decoder_start_token_id: int
    eos: int
    pad: int
    no_timestamps: int
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    lang_to_id: Mapping[str, int] = field(default_factory=dict)
    task_to_id: Mapping[str, int] = field(default_factory=dict)
    is_multilingual: bool = False
    max_length: int = 448
    max_initial_timestamp_index: int | None = 50  # one second
    alignment_heads: tuple[tuple[int, int], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def for_tokenizer(cls, tokenizer: Tokenizer, *, n_text_ctx: int = 448) -> GenerationSettings:
        """The settings of a new model: nothing is suppressed but what must never be written."""
        tasks = {"transcribe": tokenizer.transcribe, "translate": tokenizer.translate}
        is_multilingual = tokenizer.is_multilingual
        return cls(
            decoder_start_token_id=tokenizer.sot,
            eos=tokenizer.eot,
            pad=tokenizer.eot,
            no_timestamps=tokenizer.no_timestamps,
            suppress_tokens=never_written(tokenizer),
            begin_suppress_tokens=(*tokenizer.encode(" ")[:1], tokenizer.eot),
            lang_to_id={f"<|{code}|>": tokenizer.language_id(code) for code in tokenizer.languages if is_multilingual},
            task_to_id={name: i for name, i in tasks.items() if i is not None and is_multilingual},
            is_multilingual=is_multilingual,
            max_length=n_text_ctx,
        )

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> GenerationSettings:
        """Read the parsed file.

        Raises:
            ArtifactError: naming the key that is missing or of another kind.
        """
        name = "generation_config.json"
        heads = raw.get("alignment_heads") or ()
        try:
            alignment_heads = tuple((int(layer), int(head)) for layer, head in heads)
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"{name}: alignment_heads must be [layer, head] pairs: {error}") from error
        return cls(
            decoder_start_token_id=integer_at(raw, "decoder_start_token_id", name),
            eos=integer_at(raw, "eos_token_id", name),
            pad=integer_at({"pad_token_id": raw.get("eos_token_id")} | dict(raw), "pad_token_id", name),
            no_timestamps=integer_at(raw, "no_timestamps_token_id", name),
            suppress_tokens=integers_at(raw, "suppress_tokens", name),
            begin_suppress_tokens=integers_at(raw, "begin_suppress_tokens", name),
            lang_to_id=table_at(raw, "lang_to_id", name),
            task_to_id=table_at(raw, "task_to_id", name),
            is_multilingual=bool(raw.get("is_multilingual", bool(raw.get("lang_to_id")))),
            max_length=integer_at({"max_length": 448} | dict(raw), "max_length", name),
            max_initial_timestamp_index=_initial_timestamp(raw),
            alignment_heads=alignment_heads,
            extra=dict(raw),
        )

    def to_json(self) -> dict[str, Any]:
        """The file: what was read, with today's values on top."""
        known: dict[str, Any] = {
            "decoder_start_token_id": self.decoder_start_token_id,
            "eos_token_id": self.eos,
            "pad_token_id": self.pad,
            "no_timestamps_token_id": self.no_timestamps,
            "suppress_tokens": list(self.suppress_tokens),
            "begin_suppress_tokens": list(self.begin_suppress_tokens),
            "is_multilingual": self.is_multilingual,
            "max_length": self.max_length,
            "max_initial_timestamp_index": self.max_initial_timestamp_index,
        }
        if self.is_multilingual:
            known |= {"lang_to_id": dict(self.lang_to_id), "task_to_id": dict(self.task_to_id)}
        if self.alignment_heads:
            known["alignment_heads"] = [list(pair) for pair in self.alignment_heads]
        return {"bos_token_id": self.eos, "return_timestamps": False} | dict(self.extra) | known


def never_written(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The control tokens that no transcript holds.

    Source: `_get_suppress_tokens` in whisper/decoding.py.
    """
    control = (tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm, tokenizer.no_speech)
    tasks = (tokenizer.transcribe, tokenizer.translate)
    return tuple(sorted(i for i in (*control, *tasks) if i is not None))


def _initial_timestamp(raw: Mapping[str, Any]) -> int | None:
    key = "max_initial_timestamp_index"
    if key in raw and raw[key] is None:
        return None
    return integer_at({key: 50} | dict(raw), key, "generation_config.json")
