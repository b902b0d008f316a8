import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_unflatten
from tests.fakes.tiny_whisper import WORDS, say, tiny_checkpoint

from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import ExampleBuilder, TrainingClip
from projectone.server.training.lessons import Lessons
from projectone.server.training.loss import Batch, mean_cross_entropy
from projectone.server.training.material import sort_clips

CHECKPOINT = tiny_checkpoint()


def clips(n: int, *, seed: int) -> list[TrainingClip]:
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(list(WORDS), size=random.integers(1, 3))) for _ in range(n)]
    return [TrainingClip(f"{seed}-{i}", say(text, seed=seed + i), text, f"s{i % 3}") for i, text in enumerate(texts)]


def lessons(config: TrainingConfig, *, n_replay: int = 0, n_carriers: int = 0) -> Lessons:
    material = sort_clips(
        CHECKPOINT, clips(40, seed=0), [], clips(n_replay, seed=100), config, clips(n_carriers, seed=200)
    )
    return Lessons(ExampleBuilder(CHECKPOINT, language="en"), material, config)


def counts(made: Lessons, epoch: int) -> tuple[int, int]:
    """Own clips of an epoch, and those that were mixed in."""
    seen = [index for planned in made.plan if planned.epoch == epoch for index in planned.indices]
    return len({index for index in seen if index < 40}), len([index for index in seen if index >= 40])


def test_every_group_is_mixed_in_at_its_share() -> None:
    config = TrainingConfig(epochs=2, replay_fraction=0.2, carriers_share=0.2, negatives_share=0.2)
    for epoch in range(2):
        assert counts(lessons(config), epoch) == (40, 10)  # speechless clips
        assert counts(lessons(config, n_carriers=60), epoch) == (40, 20)
        assert counts(lessons(config, n_replay=60, n_carriers=60), epoch) == (40, 30)


def test_any_step_can_be_made_first() -> None:
    config = TrainingConfig(epochs=1, context="full", negatives_share=0.1, prompt_share=0.5)
    first, second = lessons(config), lessons(config)
    assert first.epochs == [0] * len(first)
    last = len(first) - 1
    for step in (last, 0):
        first.batch(step)
    for step in range(last + 1):
        ours, theirs = first.batch(step), second.batch(step)
        for name in ("mel", "tokens", "rows", "columns", "targets"):
            assert np.array_equal(np.array(getattr(ours, name)), np.array(getattr(theirs, name)))


def test_speechless_clips_bring_the_token_for_silence() -> None:
    no_speech = CHECKPOINT.tokenizer.no_speech
    with_them, without = (lessons(TrainingConfig(epochs=1, negatives_share=share)) for share in (0.3, 0))
    assert any(no_speech in with_them.batch(step).targets.tolist() for step in range(len(with_them)))
    assert not any(no_speech in without.batch(step).targets.tolist() for step in range(len(without)))


def test_synthetic_sentences_that_do_not_fit_are_named() -> None:
    long = TrainingClip("carrier-0", np.zeros(16_000 * 5, np.float32), "red", "synthetic")
    material = sort_clips(CHECKPOINT, clips(10, seed=0), [], [], TrainingConfig(), [long])
    assert [skipped.clip_id for skipped in material.skipped] == ["carrier-0"]
    assert material.carriers == []


def test_filled_up_tokens_have_few_shapes_and_the_same_loss_and_gradients() -> None:
    plain, filled = (lessons(TrainingConfig(epochs=2, token_multiple=n, batch_size=4)) for n in (1, 8))
    shapes = set()
    for step in range(len(plain)):
        ours, theirs = filled.batch(step), plain.batch(step)
        shapes.add((ours.tokens.shape[1] % 8, ours.targets.size % 8))
        assert np.array_equal(np.array(ours.mel), np.array(theirs.mel))
    assert shapes == {(0, 0)}

    weights = dict(tree_flatten(CHECKPOINT.model.trainable_parameters()))

    def loss(weights: dict[str, mx.array], batch: Batch) -> mx.array:
        CHECKPOINT.model.update(tree_unflatten(list(weights.items())))
        return mean_cross_entropy(CHECKPOINT.model, batch)

    for step in range(3):
        (first, ours), (second, theirs) = (
            mx.value_and_grad(loss)(weights, made.batch(step)) for made in (filled, plain)
        )
        assert first.item() == pytest.approx(second.item(), rel=1e-5)
        for name, gradient in theirs.items():
            # Sums in another order.
            np.testing.assert_allclose(np.array(ours[name]), np.array(gradient), atol=1e-5, err_msg=name)


def test_rows_are_never_filled_beyond_the_decoder() -> None:
    made = lessons(TrainingConfig(epochs=1, token_multiple=1000))
    assert made.batch(0).tokens.shape[1] == CHECKPOINT.dims.n_text_ctx
