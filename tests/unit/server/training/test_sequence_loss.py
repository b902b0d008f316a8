"""The second stage's losses against numbers by hand, against numpy, and against what they are for."""

import math
from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_unflatten
from tests.fakes.tiny_whisper import tiny_checkpoint

from projectone.server.training.adamw import AdamW
from projectone.server.training.loss import Batch, Target, collate_targets, mean_cross_entropy
from projectone.server.training.sequence_loss import (
    Hypothesis,
    Rollout,
    collate_hypotheses,
    group_advantages,
    group_relative_policy,
    minimum_word_error,
    token_logprobs,
    with_cross_entropy,
)
from projectone.speech.whisper import Whisper

N_VOCAB = tiny_checkpoint().dims.n_vocab


def rollout_of(
    hypotheses: list[Hypothesis], n_words: list[int], *, temperature: float = 1.0, forbidden: tuple[int, ...] = ()
) -> Rollout:
    mask = np.zeros(N_VOCAB, np.float32)
    mask[list(forbidden)] = 1
    return collate_hypotheses(
        hypotheses, prefix=(3, 4), n_words=n_words, forbidden=mask, pad=0, temperature=temperature
    )


def of_clip(clip: int, tokens: tuple[int, ...], errors: int) -> Hypothesis:
    return Hypothesis(clip=clip, tokens=tokens, errors=errors, n_words=len(tokens) - 1)


# Two clips of two and three words: rows of one, two and one tokens, then of two and one.
ROLLOUT = rollout_of(
    [
        of_clip(0, (9,), 0),
        of_clip(0, (8, 9), 1),
        of_clip(0, (7,), 3),
        of_clip(1, (6, 9), 2),
        of_clip(1, (5,), 0),
    ],
    [2, 3],
)
LOGPROBS = [math.log(p) for p in (0.4, 0.5, 0.2, 0.3, 0.5, 0.6, 0.3)]


def test_expected_errors_are_those_counted_by_hand() -> None:
    # Texts: 0.4, 0.5 * 0.2 = 0.1, 0.3; renormalised 1/2, 1/8, 3/8. Errors 0, 1, 3: 1/8 + 9/8 = 1.25, mean 4/3.
    # Texts: 0.5 * 0.6 = 0.3, 0.3; 1/2 each. Errors 2, 0: 1, mean 1.
    loss = minimum_word_error(mx.array(LOGPROBS), ROLLOUT)
    assert loss.item() == pytest.approx((1.25 - 4 / 3 + 1 - 1) / 5, abs=1e-7)


def test_the_gradient_of_expected_errors_is_its_finite_difference() -> None:
    def by_hand(logprobs: np.ndarray) -> float:
        rows, clips = np.array(ROLLOUT.rows), np.array(ROLLOUT.clips)
        texts = np.array([logprobs[rows == row].sum() for row in range(5)])
        total = 0.0
        for clip in range(2):
            shares = np.exp(texts[clips == clip])
            total += float((shares / shares.sum()) @ np.array(ROLLOUT.errors)[clips == clip])
        return total / 5

    gradient = np.array(mx.grad(lambda x: minimum_word_error(x, ROLLOUT))(mx.array(LOGPROBS)))
    steps = np.eye(len(LOGPROBS)) * 1e-5
    slopes = [(by_hand(np.array(LOGPROBS) + h) - by_hand(np.array(LOGPROBS) - h)) / 2e-5 for h in steps]
    # By hand without a baseline: it changes no gradient. float32 against float64.
    assert np.allclose(gradient, slopes, atol=1e-6)
    assert np.abs(gradient).max() > 0.01


def test_a_clip_with_one_hypothesis_teaches_nothing() -> None:
    rollout = rollout_of([of_clip(0, (8, 9), 4)], [2])
    gradient = mx.grad(lambda x: minimum_word_error(x, rollout))(mx.array([-1.0, -2.0]))
    assert np.array(gradient).tolist() == [0.0, 0.0]


def test_hypotheses_far_apart_give_finite_numbers() -> None:
    logprobs = mx.array([-0.1, -900.0, -1e9, -30.0, -2.0, -0.5, -1e9])
    loss, gradient = mx.value_and_grad(lambda x: minimum_word_error(x, ROLLOUT))(logprobs)
    assert math.isfinite(loss.item())
    assert np.isfinite(np.array(gradient)).all()


def test_advantages_are_standard_scores_within_a_group() -> None:
    advantages = group_advantages(
        np.array(ROLLOUT.errors), np.array(ROLLOUT.clips), np.array(ROLLOUT.n_words, np.float32)
    )
    rewards = -np.array([0, 1, 3]) / 2
    assert np.allclose(advantages[:3], (rewards - rewards.mean()) / rewards.std(), atol=1e-6)
    assert np.allclose(advantages[3:], [-1, 1], atol=1e-6)
    same = group_advantages(np.array([2, 2], np.float32), np.array([0, 0], np.int32), np.array([3], np.float32))
    assert same.tolist() == [0.0, 0.0]
    # Silence: every word is one too many, and there is nothing to divide by.
    silence = group_advantages(np.array([0, 2], np.float32), np.array([0, 0], np.int32), np.array([0], np.float32))
    assert np.allclose(silence, [1, -1])


def test_the_policy_loss_and_its_gradient_are_those_of_the_formula() -> None:
    start = np.array(LOGPROBS) + np.array([0.1, -0.2, 0.3, 0.0, 0.05, -0.4, 0.2])
    loss, gradient = mx.value_and_grad(
        lambda x: group_relative_policy(x, ROLLOUT, start_logprobs=mx.array(start), kl=0.5)
    )(mx.array(LOGPROBS))
    scores = group_advantages(np.array(ROLLOUT.errors), np.array(ROLLOUT.clips), np.array(ROLLOUT.n_words))
    advantages = scores[np.array(ROLLOUT.rows)]
    apart = start - np.array(LOGPROBS)
    assert loss.item() == pytest.approx(np.mean(0.5 * (np.exp(apart) - apart - 1) - advantages), abs=1e-6)
    # d/dx of exp(s - x) - (s - x) - 1 is 1 - exp(s - x); of the ratio, at one, 1.
    assert np.allclose(np.array(gradient), (0.5 * (1 - np.exp(apart)) - advantages) / 7, atol=1e-6)


def test_the_divergence_estimate_is_never_negative_and_right_on_average() -> None:
    random = np.random.default_rng(0)
    now, start = (np.log(p / p.sum()) for p in (random.uniform(0.1, 1, 6), random.uniform(0.1, 1, 6)))
    drawn = random.choice(6, size=200_000, p=np.exp(now))
    rollout = rollout_of([of_clip(0, (9,), 0)], [1])
    many = replace(rollout, rows=mx.zeros(drawn.size, dtype=mx.int32), errors=mx.array([0.0]))

    def divergence(x: np.ndarray, y: np.ndarray) -> float:
        value: float = group_relative_policy(mx.array(x), many, start_logprobs=mx.array(y), kl=1.0).item()
        return value

    exact = float((np.exp(now) * (now - start)).sum())
    # 200,000 draws: one standard error is below half a per cent of it.
    assert divergence(now[drawn], start[drawn]) == pytest.approx(exact, rel=0.02)
    one = replace(rollout, rows=mx.array([0]))
    for x, y in ((-1.0, -3.0), (-3.0, -1.0), (-2.0, -2.0)):
        estimate = group_relative_policy(mx.array([x]), one, start_logprobs=mx.array([y]), kl=1.0).item()
        assert estimate == pytest.approx(math.exp(y - x) - (y - x) - 1, abs=1e-6)
        assert estimate >= 0


def lesson(model: Whisper) -> Batch:
    tokens, rows, columns, wanted = collate_targets([Target((3, 4, 7, 9), 2), Target((3, 4, 8, 6, 9), 2)], pad=0)
    mel = np.random.default_rng(0).standard_normal((2, 64, model.dims.n_mels)).astype(np.float32)
    return Batch(mx.array(mel), mx.array(tokens), mx.array(rows), mx.array(columns), mx.array(wanted), 1.0)


def test_log_probabilities_are_those_of_the_whole_softmax() -> None:
    model = tiny_checkpoint().model
    features = model.embed_audio(lesson(model).mel)
    rollout = rollout_of([of_clip(0, (7, 9), 0), of_clip(1, (9,), 0)], [1, 1], temperature=0.5, forbidden=(5, 11))
    for temperature in (1.0, 0.5):
        found = np.array(token_logprobs(model, features, rollout, temperature=temperature))
        wanted = []
        for clip, tokens in ((0, (3, 4, 7, 9)), (1, (3, 4, 9))):
            scores = np.array(model.logits(mx.array([tokens[:-1]]), features[clip : clip + 1]))[0].astype(np.float64)
            scores[:, [5, 11]] = -np.inf
            shares = np.exp(scores / temperature)
            shares /= shares.sum(axis=-1, keepdims=True)
            wanted += [math.log(shares[place, tokens[place + 1]]) for place in range(1, len(tokens) - 1)]
        assert np.allclose(found, wanted, atol=1e-5)  # float32


def test_padding_changes_no_log_probability() -> None:
    model = tiny_checkpoint().model
    features = model.embed_audio(lesson(model).mel)
    short, long = of_clip(0, (7, 9), 0), of_clip(1, (8, 8, 8, 8, 8, 9), 1)
    alone = np.array(token_logprobs(model, features, rollout_of([short], [1])))
    padded = np.array(token_logprobs(model, features, rollout_of([short, long], [1, 1])))
    assert np.allclose(padded[:2], alone, atol=1e-5)


def test_cross_entropy_comes_in_by_its_weight() -> None:
    model = tiny_checkpoint().model
    batch = lesson(model)
    features = model.embed_audio(batch.mel)
    nats = mean_cross_entropy(model, batch).item()
    assert with_cross_entropy(mx.array(2.0), model, features, batch, 0.25).item() == pytest.approx(2 + nats / 4)
    assert with_cross_entropy(mx.array(2.0), model, features, batch, 0.0).item() == 2.0


@pytest.mark.parametrize("kind", ["mwer", "grpo"])
def test_a_few_steps_make_right_hypotheses_likelier(kind: str) -> None:
    model = tiny_checkpoint().model
    mel = lesson(model).mel
    rollout = rollout_of(
        [of_clip(0, (7, 9), 0), of_clip(0, (8, 9), 1), of_clip(1, (6, 9), 2), of_clip(1, (5, 9), 0)], [1, 2]
    )

    def loss(weights: dict[str, mx.array]) -> mx.array:
        model.update(tree_unflatten(list(weights.items())))
        logprobs = token_logprobs(model, model.embed_audio(mel), rollout)
        if kind == "mwer":
            return minimum_word_error(logprobs, rollout)
        return group_relative_policy(logprobs, rollout, start_logprobs=None, kl=0.0)

    def right_share(weights: dict[str, mx.array]) -> list[float]:
        model.update(tree_unflatten(list(weights.items())))
        nats = np.array(token_logprobs(model, model.embed_audio(mel), rollout)).reshape(4, 2).sum(axis=1)
        shares = np.exp(nats).reshape(2, 2)
        return [float(shares[0, 0] / shares[0].sum()), float(shares[1, 1] / shares[1].sum())]

    weights = dict(tree_flatten(model.trainable_parameters()))
    before = right_share(weights)
    optimiser = AdamW()
    moments = optimiser.zeros(weights)
    for step in range(5):
        gradients = mx.grad(loss)(weights)
        weights, moments = optimiser.step(weights, gradients, moments, learning_rate=1e-3, n_done=step)
    after = right_share(weights)
    assert all(late > early + 0.02 for early, late in zip(before, after, strict=True))
