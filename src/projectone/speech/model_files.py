"""`config.json` and `preprocessor_config.json` of a Hugging Face Whisper folder as checked values, and back again.

Each value keeps the whole file that it came from: keys we do not use are written back as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from projectone.errors import ArtifactError
from projectone.speech.audio import HOP_LENGTH, N_FFT, SAMPLE_RATE
from projectone.speech.generation import GenerationSettings
from projectone.speech.json_files import integer_at
from projectone.speech.whisper import ModelDimensions

ENCODER_STRIDE = 2  # mel frames per encoder position
_LIMIT = 2**20  # no dimension of a Whisper model comes near it

_DIMENSIONS = {
    "n_mels": "num_mel_bins",
    "n_audio_ctx": "max_source_positions",
    "n_audio_state": "d_model",
    "n_audio_head": "encoder_attention_heads",
    "n_audio_layer": "encoder_layers",
    "n_vocab": "vocab_size",
    "n_text_ctx": "max_target_positions",
    "n_text_state": "d_model",
    "n_text_head": "decoder_attention_heads",
    "n_text_layer": "decoder_layers",
}
# What the code takes for granted; a file may say it or leave it out, never say otherwise.
_GRANTED = {
    "model_type": "whisper",
    "activation_function": "gelu",
    "scale_embedding": False,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """`preprocessor_config.json`: how sound becomes the encoder's input."""

    feature_size: int = 80
    chunk_length_s: int = 30
    sampling_rate: int = SAMPLE_RATE
    n_fft: int = N_FFT
    hop_length: int = HOP_LENGTH
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fixed = {"sampling_rate": SAMPLE_RATE, "n_fft": N_FFT, "hop_length": HOP_LENGTH}
        for name, value in fixed.items():
            if getattr(self, name) != value:
                raise ArtifactError(f"preprocessor_config.json: {name}: expected {value}, got {getattr(self, name)!r}")

    @property
    def n_samples(self) -> int:
        """Samples in one window."""
        return self.chunk_length_s * self.sampling_rate

    @property
    def n_frames(self) -> int:
        """Mel frames in one window."""
        return self.n_samples // self.hop_length

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FeatureSettings:
        """Read the parsed file.

        Raises:
            ArtifactError: naming the key that is missing, or that the code cannot follow.
        """
        name = "preprocessor_config.json"
        return cls(
            feature_size=integer_at({"feature_size": 80} | dict(raw), "feature_size", name),
            chunk_length_s=integer_at(raw, "chunk_length", name),
            sampling_rate=integer_at(raw, "sampling_rate", name),
            n_fft=integer_at(raw, "n_fft", name),
            hop_length=integer_at(raw, "hop_length", name),
            extra=dict(raw),
        )

    def to_json(self) -> dict[str, Any]:
        """The file: what was read, with today's values on top."""
        return {
            "feature_extractor_type": "WhisperFeatureExtractor",
            "padding_side": "right",
            "padding_value": 0.0,
            "processor_class": "WhisperProcessor",
            "return_attention_mask": False,
            **self.extra,
            "chunk_length": self.chunk_length_s,
            "feature_size": self.feature_size,
            "hop_length": self.hop_length,
            "n_fft": self.n_fft,
            "n_samples": self.n_samples,
            "nb_max_frames": self.n_frames,
            "sampling_rate": self.sampling_rate,
        }


def dimensions_from_config(raw: Mapping[str, Any]) -> ModelDimensions:
    """`config.json` as dimensions.

    Raises:
        ArtifactError: if this is no Whisper model, or one of a kind that the code does not build.
    """
    for key, value in _GRANTED.items():
        if raw.get(key, value) != value:
            raise ArtifactError(f"config.json: {key}: expected {value!r}, got {raw[key]!r}")
    values = {ours: integer_at(raw, theirs, "config.json") for ours, theirs in _DIMENSIONS.items()}
    for ours, value in values.items():
        if not 0 < value <= _LIMIT:
            raise ArtifactError(f"config.json: {_DIMENSIONS[ours]}: expected 1 to {_LIMIT}, got {value}")
    width = values["n_audio_state"]
    for key in ("encoder_ffn_dim", "decoder_ffn_dim"):
        if raw.get(key, 4 * width) != 4 * width:
            raise ArtifactError(f"config.json: {key}: expected {4 * width} (four times d_model), got {raw[key]!r}")
    for side in ("n_audio_head", "n_text_head"):
        if width % values[side]:
            raise ArtifactError(f"config.json: d_model {width} cannot be split over {values[side]} heads")
    if width % 2:
        raise ArtifactError(f"config.json: d_model: expected an even number, got {width}")
    return ModelDimensions(**values)


def config_from_dimensions(
    dims: ModelDimensions, generation: GenerationSettings, *, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """`config.json` for `transformers`: what was read, with today's dimensions and ids on top."""
    if dims.n_audio_state != dims.n_text_state:
        raise ValueError("this layout has one width: n_audio_state and n_text_state must be equal")
    values = asdict(dims)
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "activation_function": "gelu",
        "is_encoder_decoder": True,
        "init_std": 0.02,
        "tie_word_embeddings": True,
        "use_cache": True,
        "torch_dtype": "float16",
        "bos_token_id": generation.eos,
        # Left empty here: since transformers 4.4x these live in generation_config.json alone.
        "suppress_tokens": None,
        "begin_suppress_tokens": None,
        **{key: value for key, value in extra.items() if key != "dtype"},  # the older key below says it to all versions
        "model_type": "whisper",
        **{theirs: values[ours] for ours, theirs in _DIMENSIONS.items()},
        "encoder_ffn_dim": 4 * dims.n_audio_state,
        "decoder_ffn_dim": 4 * dims.n_text_state,
        "num_hidden_layers": dims.n_audio_layer,
        "decoder_start_token_id": generation.decoder_start_token_id,
        "eos_token_id": generation.eos,
        "pad_token_id": generation.pad,
    }
