import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_unflatten
from tests.fakes.tiny_whisper import tiny_checkpoint

from projectone.errors import TrainingError
from projectone.server.training.config import LoraConfig, LoraTargets, Trainable, TrainingConfig
from projectone.server.training.lora import (
    adapted,
    adapter_size,
    opening_adapters,
    put_adapters,
    rounded_factors,
    without_change,
)
from projectone.speech.checkpoint import model_tensors
from projectone.speech.lora import fused_weights
from projectone.speech.whisper import ModelDimensions

MEL = mx.array(np.random.default_rng(0).standard_normal((2, 64, 20)).astype(np.float32))
TOKENS = mx.array([[1, 2, 3], [4, 5, 6]])


def drawn(adapters: dict[str, mx.array], *, seed: int = 1) -> dict[str, mx.array]:
    random = np.random.default_rng(seed)
    return {n: mx.array(random.normal(size=t.shape, scale=0.1).astype(np.float32)) for n, t in adapters.items()}


def test_adapters_change_nothing_at_the_beginning() -> None:
    model = tiny_checkpoint().model
    training, layers = adapted(model, LoraConfig(), "all")
    opening = opening_adapters(layers, 0)
    put_adapters(training, opening)
    assert mx.array_equal(training(MEL, TOKENS), model(MEL, TOKENS))
    # A is drawn, or both would stay zero for ever.
    assert all(mx.abs(t).max().item() > 0 for name, t in opening.items() if name.endswith("lora_a"))


def test_an_adapter_larger_than_its_layer_is_refused_before_it_is_made() -> None:
    model = tiny_checkpoint().model
    width = model.dims.n_audio_state
    with pytest.raises(TrainingError, match=rf"lora rank: expected at most {width}, the rank of .*, got {2 * width}"):
        adapted(model, LoraConfig(rank=2 * width, alpha=2.0 * width), "all")


def test_only_adapters_are_trained_and_they_are_few() -> None:
    model = tiny_checkpoint().model
    training, layers = adapted(model, LoraConfig(rank=2), "all")
    names = {name for name, _ in tree_flatten(training.trainable_parameters())}
    assert names == opening_adapters(layers, 0).keys()
    # Queries and values of the encoder's attention and the decoder's two.
    assert sorted({name.rpartition(".")[0] for name in names}) == [
        f"{block}.{projection}"
        for block in ("decoder.blocks.0.attn", "decoder.blocks.0.cross_attn", "encoder.blocks.0.attn")
        for projection in ("query", "value")
    ]


@pytest.mark.parametrize(
    ("targets", "trainable", "n_layers"),
    [
        ("query_value", "decoder", 4),
        ("attention", "all", 12),
        ("attention_mlp", "all", 16),
        ("attention_mlp", "decoder", 10),
    ],
)
def test_targets_choose_the_layers(targets: str, trainable: str, n_layers: int) -> None:
    _, layers = adapted(tiny_checkpoint().model, LoraConfig(targets=targets), trainable)
    assert len(layers) == n_layers


def test_the_fused_model_says_what_the_adapted_one_says() -> None:
    model = tiny_checkpoint().model
    config = LoraConfig(rank=4, alpha=8.0, targets="attention_mlp")
    training, layers = adapted(model, config, "all")
    adapters = drawn(opening_adapters(layers, 0))
    put_adapters(training, adapters)
    fused = fused_weights(model_tensors(model), rounded_factors(adapters), config.scale)
    before = model(MEL, TOKENS)
    model.update(tree_unflatten(list(fused.items())))
    after, beside = np.array(model(MEL, TOKENS)), np.array(training(MEL, TOKENS))
    assert np.abs(after - np.array(before)).max() > 0.1
    # float16 keeps eleven bits of each weight and factor.
    assert np.abs(after - beside).max() < 0.01 * np.abs(beside).max()


def test_the_model_beside_stays_as_it_was() -> None:
    model = tiny_checkpoint().model
    before = {name: np.array(tensor) for name, tensor in model_tensors(model).items()}
    training, layers = adapted(model, LoraConfig(), "all")
    put_adapters(training, drawn(opening_adapters(layers, 0)))
    mx.eval(training(MEL, TOKENS))
    assert all(np.array_equal(before[name], np.array(tensor)) for name, tensor in model_tensors(model).items())


def test_half_way_from_no_change_is_half_the_change() -> None:
    _, layers = adapted(tiny_checkpoint().model, LoraConfig(), "all")
    adapters = drawn(opening_adapters(layers, 0))
    start = without_change(adapters)
    for layer in layers:
        half = {name: 0.5 * start[name] + 0.5 * adapters[name] for name in adapters}
        whole = np.array(adapters[f"{layer}.lora_b"]) @ np.array(adapters[f"{layer}.lora_a"])
        product = np.array(half[f"{layer}.lora_b"]) @ np.array(half[f"{layer}.lora_a"])
        assert np.allclose(product, 0.5 * whole, atol=1e-7)


def test_dropout_changes_what_adapters_hear_and_nothing_else() -> None:
    training, layers = adapted(tiny_checkpoint().model, LoraConfig(dropout=0.5), "all")
    put_adapters(training, drawn(opening_adapters(layers, 0)))
    plain = training(MEL, TOKENS)
    for layer in layers.values():
        layer.drop_with(mx.random.key(1))
    dropped = training(MEL, TOKENS)
    assert not mx.array_equal(plain, dropped)
    assert mx.array_equal(dropped, training(MEL, TOKENS))  # the key decides
    put_adapters(training, opening_adapters(layers, 0))
    dropped = training(MEL, TOKENS)
    for layer in layers.values():
        layer.drop_with(None)
    assert mx.array_equal(training(MEL, TOKENS), dropped)


def test_the_method_goes_by_the_size_unless_it_is_said() -> None:
    auto = TrainingConfig()
    assert [auto.method_for(width) for width in (192, 384, 512, 768, 1280)] == ["full", "full", "full", "lora", "lora"]
    assert TrainingConfig(method="full").method_for(1280) == "full"
    assert TrainingConfig(method="lora").method_for(192) == "lora"
    assert TrainingConfig(method="lora").rate_for(384) > 10 * auto.rate_for(384)


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"alpha": 12.0}, {"dropout": 1.0}, {"targets": "everything"}])
def test_a_wrong_adapter_config_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LoraConfig(**wrong)


@pytest.mark.parametrize("targets", ["query_value", "attention", "attention_mlp"])
@pytest.mark.parametrize("trainable", ["all", "decoder"])
def test_the_size_that_is_foretold_is_the_size_of_the_factors(targets: LoraTargets, trainable: Trainable) -> None:
    model, config = tiny_checkpoint().model, LoraConfig(rank=3, alpha=6, targets=targets)
    factors = rounded_factors(opening_adapters(adapted(model, config, trainable)[1], seed=0))
    n_bytes = sum(pair.down.nbytes + pair.up.nbytes for pair in factors.values())
    n_weights = sum(tensor.size for tensor in model_tensors(model).values())
    size = adapter_size(model.dims, config, trainable)
    assert (size.n_bytes, size.share) == (n_bytes, n_bytes / (2 * n_weights))
    assert "a lower rank" in str(size)  # half a per cent is nothing of so small a model


def test_whisper_tiny_at_rank_eight_is_below_half_a_per_cent() -> None:
    tiny = ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)
    size = adapter_size(tiny, LoraConfig(rank=8), "all")
    assert 0.0038 < size.share < 0.0041
    assert "lower" not in str(size)
