"""A Whisper model as a folder: the Hugging Face layout, checked on the way in, deterministic on the way out.

folder/
  model.safetensors          weights by Hugging Face name, float16 on disk or packed; the output projection is tied
  config.json                dimensions
  generation_config.json     ids and suppression lists, kept whole
  tokenizer.json             vocabulary, kept byte for byte
  tokenizer_config.json      which tokenizer class `transformers` should use
  preprocessor_config.json   sampling rate, window, mel bands

Nothing is unpickled: a folder that holds only `pytorch_model.bin` is refused without opening it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy.typing as npt
from mlx.utils import tree_flatten

from projectone.errors import ArtifactError
from projectone.speech.assembly import MemoryDtype, assembled
from projectone.speech.generation import GenerationSettings
from projectone.speech.json_files import read_json
from projectone.speech.model_files import (
    ENCODER_STRIDE,
    FeatureSettings,
    config_from_dimensions,
    dimensions_from_config,
)
from projectone.speech.names import (
    ENCODER_POSITIONS,
    TIED_PROJECTION,
    hf_name_of,
    hf_shapes,
    is_convolution,
    mlx_name_of,
    mlx_shapes,
)
from projectone.speech.quantize import CONFIG_KEY, Packing, packed, packed_shapes, packing_from_config
from projectone.speech.tensor_file import StoredDtype, check_shapes, read_header, read_tensors, write_tensors
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.whisper import ModelDimensions, Whisper
from projectone.storage.files import digest_of, write_atomically

__all__ = [
    "CHECKPOINT_FILES",
    "FeatureSettings",
    "GenerationSettings",
    "WhisperCheckpoint",
    "checkpoint_from",
    "digest_of_folder",
    "hf_name_of",
    "load_checkpoint",
    "mlx_name_of",
    "model_tensors",
    "save_checkpoint",
    "save_packed",
    "save_settings",
]

WEIGHTS = "model.safetensors"
CHECKPOINT_FILES = (
    "config.json",
    "generation_config.json",
    WEIGHTS,
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
_JOINT_SETTINGS = "processor_config.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


@dataclass(frozen=True, kw_only=True)
class WhisperCheckpoint:
    """A model with all that is needed to use it.

    Attributes:
        folder_digest: Digest of the files it was loaded from, or None if it was made in memory.
        config_extra: Keys of `config.json` that are not used here.
    """

    model: Whisper
    dims: ModelDimensions
    tokenizer: Tokenizer
    generation: GenerationSettings
    features: FeatureSettings
    folder_digest: str | None = None
    config_extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _cross_check(self.dims, self.tokenizer, self.generation, self.features)


def load_checkpoint(folder: Path, *, dtype: MemoryDtype = "float32", stays_packed: bool = False) -> WhisperCheckpoint:
    """Read a model folder; every tensor's name, shape and dtype is checked before its data is read.

    Args:
        folder: In the Hugging Face layout.
        dtype: Of the weights in memory.
        stays_packed: Compute with the packed weights of a folder that has such, instead of unpacking them.

    Raises:
        ArtifactError: naming the file, key or tensor that is not as it must be.
    """
    if not (folder / WEIGHTS).is_file():
        raise ArtifactError(f"{folder.name!r}: no {WEIGHTS}{_what_else(folder)}")
    settings, packing = _read_settings(folder)
    expected, words = hf_shapes(settings["dims"]), frozenset[str]()
    header = read_header(folder / WEIGHTS)
    if packing is not None:
        expected, words = packed_shapes(expected, packing)
    elif TIED_PROJECTION in header:
        expected[TIED_PROJECTION] = expected[hf_name_of("decoder.token_embedding.weight")]
    check_shapes(WEIGHTS, header, expected, words=words)
    tensors = read_tensors(folder / WEIGHTS)
    model = assembled(settings["dims"], tensors, dtype, packing, stays_packed=stays_packed)
    return WhisperCheckpoint(model=model, folder_digest=digest_of_folder(folder), **settings)


def checkpoint_from(folder: Path, stored: Mapping[str, npt.NDArray[Any]]) -> WhisperCheckpoint:
    """A model of a folder's settings, in float32, whose weights lie elsewhere.

    Args:
        folder: Its `model.safetensors` is neither needed nor read.
        stored: Weights by Hugging Face name, in the shapes that a file has them in.

    Raises:
        ArtifactError: naming the file, key or tensor that is not as it must be.
    """
    settings, _ = _read_settings(folder)
    model = assembled(settings["dims"], {name: mx.array(array) for name, array in stored.items()}, "float32")
    return WhisperCheckpoint(model=model, **settings)


def save_checkpoint(checkpoint: WhisperCheckpoint, folder: Path, *, dtype: StoredDtype = "float16") -> None:
    """Write a model folder that `transformers` and `load_checkpoint` open; the same model gives the same bytes.

    Each file appears whole or not at all, the weights last. Give a fresh folder (`building_directory`) where
    others may be reading.

    Raises:
        ArtifactError: naming the tensor whose numbers are not finite, or do not fit `dtype`.
        StorageError: if the disk refused.
    """
    tensors = _hf_tensors(model_tensors(checkpoint.model))
    save_settings(checkpoint, folder, dtype=dtype)
    write_tensors(folder / WEIGHTS, tensors, dtype=dtype)


def save_packed(checkpoint: WhisperCheckpoint, folder: Path, packing: Packing) -> None:
    """As `save_checkpoint`, with the matrices packed; `load_checkpoint` opens it, `transformers` does not.

    Raises:
        ArtifactError: naming the tensor whose numbers are not finite, or do not fit float16.
        StorageError: if the disk refused.
    """
    save_settings(checkpoint, folder, packing=packing)
    write_tensors(folder / WEIGHTS, _hf_tensors(packed(model_tensors(checkpoint.model), packing)), dtype="float16")


def save_settings(
    checkpoint: WhisperCheckpoint, folder: Path, *, dtype: StoredDtype = "float16", packing: Packing | None = None
) -> None:
    """Write all files of a model folder but the weights.

    Raises:
        StorageError: if the disk refused.
    """
    config = config_from_dimensions(checkpoint.dims, checkpoint.generation, extra=checkpoint.config_extra)
    how = {} if packing is None else {CONFIG_KEY: packing.to_json()}
    _write_json(folder / "config.json", config | {"torch_dtype": dtype} | how)
    _write_json(folder / "generation_config.json", checkpoint.generation.to_json())
    _write_json(folder / "preprocessor_config.json", checkpoint.features.to_json())
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(checkpoint))
    write_atomically(folder / "tokenizer.json", checkpoint.tokenizer.source.encode())


def model_tensors(model: Whisper) -> dict[str, mx.array]:
    """Every tensor of a model by our name, the encoder's sinusoids included.

    Raises:
        ValueError: if the model has more or other tensors than its dimensions say, such as adapters not yet fused.
    """
    tensors = dict(tree_flatten(model.parameters()))
    tensors[ENCODER_POSITIONS] = model.encoder._positional_embedding
    expected = mlx_shapes(model.dims)
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name in expected}
    if found != expected or len(tensors) != len(expected):
        odd = sorted(tensors.keys() ^ expected.keys()) or sorted(k for k in found if found[k] != expected[k])
        raise ValueError(f"model: its tensors are not those of {model.dims}: {odd[:3]}")
    return tensors


def _hf_tensors(tensors: Mapping[str, mx.array]) -> dict[str, mx.array]:
    """Our names and axes to Hugging Face's."""
    return {hf_name_of(name): t.transpose(0, 2, 1) if is_convolution(name) else t for name, t in tensors.items()}


def _read_settings(folder: Path) -> tuple[dict[str, Any], Packing | None]:
    """All files but the weights, as the fields of a checkpoint, and how the weights are packed."""
    config = read_json(folder / "config.json")
    dims = dimensions_from_config(config)
    generation = GenerationSettings.from_json(read_json(folder / "generation_config.json"))
    features = FeatureSettings.from_json(_feature_settings(folder))
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json", is_multilingual=generation.is_multilingual)
    _cross_check(dims, tokenizer, generation, features)
    extra = {key: value for key, value in config.items() if key != CONFIG_KEY}
    names = ("dims", "tokenizer", "generation", "features", "config_extra")
    settings = dict(zip(names, (dims, tokenizer, generation, features, extra), strict=True))
    return settings, packing_from_config(config)


def digest_of_folder(folder: Path) -> str:
    """SHA-256 over the names and digests of the checkpoint's own files; other files in the folder do not count."""
    names = (*CHECKPOINT_FILES, _JOINT_SETTINGS)
    present = [name for name in names if (folder / name).is_file()]
    lines = "".join(f"{digest_of(folder / name)}  {name}\n" for name in present)
    return hashlib.sha256(lines.encode()).hexdigest()


def _feature_settings(folder: Path) -> dict[str, Any]:
    """`preprocessor_config.json`, or its contents from where transformers 5 puts them."""
    joint = folder / _JOINT_SETTINGS
    if joint.is_file() and not (folder / "preprocessor_config.json").is_file():
        inside = read_json(joint).get("feature_extractor")
        if isinstance(inside, dict):
            return inside
    return read_json(folder / "preprocessor_config.json")


def _cross_check(
    dims: ModelDimensions, tokenizer: Tokenizer, generation: GenerationSettings, features: FeatureSettings
) -> None:
    """The files describe the same model.

    Raises:
        ArtifactError: naming both sides that disagree.
    """
    # Older vocabularies leave the timestamps out: their ids exist in the weights alone.
    implied = tokenizer.n_vocab if tokenizer.has_timestamp_tokens else tokenizer.n_vocab + dims.n_audio_ctx + 1
    if dims.n_vocab != implied:
        raise ArtifactError(f"vocabulary: config.json says {dims.n_vocab} tokens, tokenizer.json {implied}")
    if features.n_frames != ENCODER_STRIDE * dims.n_audio_ctx:
        raise ArtifactError(
            f"window: config.json says {ENCODER_STRIDE * dims.n_audio_ctx} mel frames (twice max_source_positions), "
            f"preprocessor_config.json {features.n_frames} (chunk_length {features.chunk_length_s} s)"
        )
    if features.feature_size != dims.n_mels:
        raise ArtifactError(
            f"mel bands: config.json says {dims.n_mels}, preprocessor_config.json {features.feature_size}"
        )
    pairs = {
        "decoder_start_token_id": (generation.decoder_start_token_id, tokenizer.sot),
        "eos_token_id": (generation.eos, tokenizer.eot),
        "no_timestamps_token_id": (generation.no_timestamps, tokenizer.no_timestamps),
    }
    for key, (said, real) in pairs.items():
        if said != real:
            raise ArtifactError(f"generation_config.json: {key} is {said}, in tokenizer.json it is {real}")
    ids = (*generation.suppress_tokens, *generation.begin_suppress_tokens, *generation.lang_to_id.values())
    if strangers := [i for i in ids if not 0 <= i < dims.n_vocab]:
        raise ArtifactError(f"generation_config.json: ids {strangers[:3]} are outside the vocabulary of {dims.n_vocab}")
    if generation.is_multilingual and not tokenizer.languages:
        raise ArtifactError("generation_config.json says multilingual, tokenizer.json has no language")


def _tokenizer_config(checkpoint: WhisperCheckpoint) -> dict[str, Any]:
    tokenizer = checkpoint.tokenizer
    end = tokenizer.special_content(tokenizer.eot)
    return {
        "add_prefix_space": False,
        "bos_token": end,
        "eos_token": end,
        "pad_token": end,
        "unk_token": end,
        "errors": "replace",
        "model_max_length": checkpoint.dims.n_text_ctx,
        "processor_class": "WhisperProcessor",
        "tokenizer_class": "WhisperTokenizer",
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def _what_else(folder: Path) -> str:
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern)) if folder.is_dir() else []
    if not folder.is_dir():
        return "; there is no such folder"
    if (folder / f"{WEIGHTS}.index.json").is_file():
        return "; weights in several files are not read: save them as one"
    return f"; {pickles[0]!r} was not opened, pickled formats are refused: convert it to safetensors" if pickles else ""
