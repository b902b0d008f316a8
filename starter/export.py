"""Writes the student as a Hugging Face Whisper checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from starter.model import Shape
from starter.vocabulary import WINDOW_S, Vocabulary, generation_config, save_vocabulary


def model_config(shape: Shape, vocabulary: Vocabulary) -> dict[str, Any]:
    """The `config.json` of transformers."""
    end = vocabulary.id_of("<|endoftext|>")
    generation = generation_config(vocabulary)
    return {
        "activation_function": "gelu",
        "architectures": ["WhisperForConditionalGeneration"],
        "begin_suppress_tokens": generation["begin_suppress_tokens"],
        "bos_token_id": end,
        "d_model": shape.n_state,
        "decoder_attention_heads": shape.n_head,
        "decoder_ffn_dim": 4 * shape.n_state,
        "decoder_layers": shape.n_text_layer,
        "decoder_start_token_id": generation["decoder_start_token_id"],
        "encoder_attention_heads": shape.n_head,
        "encoder_ffn_dim": 4 * shape.n_state,
        "encoder_layers": shape.n_audio_layer,
        "eos_token_id": end,
        "is_encoder_decoder": True,
        "max_source_positions": shape.n_audio_ctx,
        "max_target_positions": shape.n_text_ctx,
        "model_type": "whisper",
        "num_hidden_layers": shape.n_audio_layer,
        "num_mel_bins": shape.n_mels,
        "pad_token_id": end,
        "scale_embedding": False,
        "suppress_tokens": generation["suppress_tokens"],
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "vocab_size": shape.n_vocab,
    }


def feature_config(shape: Shape) -> dict[str, Any]:
    """The `preprocessor_config.json` of transformers."""
    return {
        "chunk_length": WINDOW_S, "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": shape.n_mels,
        "hop_length": 160, "n_fft": 400, "n_samples": 16_000 * WINDOW_S, "nb_max_frames": 100 * WINDOW_S,
        "padding_side": "right", "padding_value": 0.0, "processor_class": "WhisperProcessor",
        "return_attention_mask": False, "sampling_rate": 16_000,
    }  # fmt: skip


def export(weights: Mapping[str, Tensor], shape: Shape, vocabulary: Vocabulary, folder: Path) -> None:
    """Write the folder that transformers, mlx-whisper and this project open; float16."""
    save_vocabulary(vocabulary, folder)
    kept = {
        name: value.to(torch.float16).contiguous() for name, value in sorted(weights.items()) if name[:6] == "model."
    }
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    for name, content in (
        ("config.json", model_config(shape, vocabulary)),
        ("generation_config.json", generation_config(vocabulary)),
        ("preprocessor_config.json", feature_config(shape)),
    ):
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
