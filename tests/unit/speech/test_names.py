from __future__ import annotations

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from projectone.speech.names import ENCODER_POSITIONS, hf_name_of, hf_shapes, mlx_name_of, mlx_shapes
from projectone.speech.whisper import ModelDimensions, Whisper

DIMS = ModelDimensions(
    n_mels=8,
    n_audio_ctx=10,
    n_audio_state=4,
    n_audio_head=2,
    n_audio_layer=2,
    n_vocab=11,
    n_text_ctx=6,
    n_text_state=4,
    n_text_head=1,
    n_text_layer=3,
)


def test_the_table_lists_exactly_the_tensors_of_the_model() -> None:
    model = Whisper(DIMS)
    found = {name: tuple(value.shape) for name, value in tree_flatten(model.parameters())}
    found[ENCODER_POSITIONS] = tuple(model.encoder._positional_embedding.shape)
    assert found == mlx_shapes(DIMS)


def test_every_name_comes_back_from_the_other_layout() -> None:
    names = list(mlx_shapes(DIMS))
    assert [mlx_name_of(hf_name_of(name)) for name in names] == names
    assert len(hf_shapes(DIMS)) == len(names)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("encoder.conv1.bias", "model.encoder.conv1.bias"),
        ("encoder.blocks.1.attn.query.weight", "model.encoder.layers.1.self_attn.q_proj.weight"),
        ("decoder.blocks.0.cross_attn.out.bias", "model.decoder.layers.0.encoder_attn.out_proj.bias"),
        ("decoder.blocks.2.cross_attn_ln.weight", "model.decoder.layers.2.encoder_attn_layer_norm.weight"),
        ("decoder.blocks.2.mlp_ln.bias", "model.decoder.layers.2.final_layer_norm.bias"),
        ("decoder.positional_embedding", "model.decoder.embed_positions.weight"),
    ],
)
def test_known_names(ours: str, theirs: str) -> None:
    assert hf_name_of(ours) == theirs
    assert mlx_name_of(theirs) == ours


@pytest.mark.parametrize("name", ["decoder.blocks.0.lora_a", "encoder.conv1.scale", "nonsense", ""])
def test_a_stranger_has_no_name(name: str) -> None:
    with pytest.raises(KeyError):
        hf_name_of(name)


def test_convolution_kernels_swap_their_last_two_axes() -> None:
    assert mlx_shapes(DIMS)["encoder.conv1.weight"] == (4, 3, 8)
    assert hf_shapes(DIMS)["model.encoder.conv1.weight"] == (4, 8, 3)
    assert mx.zeros(hf_shapes(DIMS)["model.encoder.conv1.weight"]).transpose(0, 2, 1).shape == (4, 3, 8)
