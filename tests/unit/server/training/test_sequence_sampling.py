"""What is drawn is what was asked for, and its probability is the one that the losses compute."""

from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_whisper import say, tiny_checkpoint

from projectone.server.training import sequence_sampling
from projectone.server.training.examples import ExampleBuilder, TrainingClip, padded_mel, stack_mels
from projectone.server.training.sequence_loss import Hypothesis, collate_hypotheses, token_logprobs
from projectone.server.training.sequence_sampling import Reference, Sampler
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.normalize import normalize_text
from projectone.speech.wer import word_errors

TEXTS = ("red green", "blue")


def opened(*, temperature: float = 1.0, n: int = 6) -> tuple[WhisperCheckpoint, Sampler, mx.array, list[Reference]]:
    checkpoint = tiny_checkpoint()
    builder = ExampleBuilder(checkpoint, language="en")
    examples, _ = builder.build([TrainingClip(text, say(text), text, "s") for text in TEXTS])
    mels = [padded_mel(example.clip.samples, n_mels=checkpoint.dims.n_mels) for example in examples]
    features = checkpoint.model.embed_audio(mx.array(stack_mels(mels, 96)))
    sampler = Sampler(checkpoint, language=builder.language, n_hypotheses=n, temperature=temperature)
    return checkpoint, sampler, features, [Reference.of([example], language="en") for example in examples]


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_the_probability_at_the_drawing_is_that_of_the_same_tokens_shown_to_the_model(temperature: float) -> None:
    checkpoint, sampler, features, references = opened(temperature=temperature)
    drawn = sampler.draw(features, references, seed=1)
    rollout = collate_hypotheses(
        drawn,
        prefix=sampler.prefix,
        n_words=[r.n_words for r in references],
        forbidden=sampler.forbidden,
        pad=checkpoint.tokenizer.eot,
        temperature=temperature,
    )
    nats = np.array(token_logprobs(checkpoint.model, features, rollout))
    rows = np.array(rollout.rows)
    shown = [nats[rows == row].sum() for row in range(len(drawn))]
    # With the cache in numpy, and all at once in mlx: float32 sums in another order, up to twenty of them.
    assert np.allclose(shown, [hypothesis.logprob for hypothesis in drawn], rtol=1e-4, atol=1e-3)
    assert len({hypothesis.tokens for hypothesis in drawn}) > 3


def test_the_seed_decides_and_every_row_draws_for_itself() -> None:
    _, sampler, features, references = opened()
    first, again, other = (sampler.draw(features, references, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert [hypothesis.clip for hypothesis in first] == [0] * 6 + [1] * 6
    alone = sampler.draw(features[:1], references, seed=1)
    assert [hypothesis.tokens for hypothesis in alone] == [hypothesis.tokens for hypothesis in first[:6]]


def test_errors_are_those_of_the_text_that_was_drawn() -> None:
    checkpoint, sampler, features, references = opened()
    eot = checkpoint.tokenizer.eot
    for hypothesis in sampler.draw(features, references, seed=3):
        text = normalize_text(checkpoint.tokenizer.decode([t for t in hypothesis.tokens if t != eot]).strip())
        assert hypothesis.errors == word_errors(TEXTS[hypothesis.clip], text).errors
        assert hypothesis.n_words == len(text.split())


def test_nothing_that_is_never_written_is_drawn_and_long_texts_are_cut() -> None:
    checkpoint, sampler, features, references = opened(n=40)
    drawn = sampler.draw(features, references, seed=4)
    forbidden = set(np.flatnonzero(sampler.forbidden).tolist())
    assert checkpoint.tokenizer.sot in forbidden
    assert not forbidden & {token for hypothesis in drawn for token in hypothesis.tokens}
    limit = 2 * max(len(reference.tokens) for reference in references) + 8
    assert max(len(hypothesis.tokens) for hypothesis in drawn) <= limit
    cut = [hypothesis for hypothesis in drawn if len(hypothesis.tokens) == limit]
    # A model of random weights rarely ends a text: most are cut, and no end is invented for them.
    assert any(hypothesis.tokens[-1] != checkpoint.tokenizer.eot for hypothesis in cut)


def test_a_list_with_the_truth_holds_every_text_once() -> None:
    checkpoint, sampler, _, references = opened()
    eot = checkpoint.tokenizer.eot
    drawn = [
        Hypothesis(clip=0, tokens=(7, eot), errors=2, n_words=1, logprob=-1.0),
        Hypothesis(clip=0, tokens=(7, eot), errors=2, n_words=1, logprob=-1.0),
        Hypothesis(clip=1, tokens=(*references[1].tokens, eot), errors=0, n_words=1, logprob=-2.0),
    ]
    found = sampler.with_references(drawn, references)
    assert [(hypothesis.clip, hypothesis.errors) for hypothesis in found] == [(0, 0), (0, 2), (1, 0)]
    assert found[0].tokens == (*references[0].tokens, eot)


def test_clips_that_share_a_window_have_one_reference() -> None:
    builder = ExampleBuilder(tiny_checkpoint(), language="en")
    examples, _ = builder.build([TrainingClip(text, say(text), text, "s") for text in TEXTS])
    both = Reference.of(examples, language="en")
    assert both.text == "red green blue"
    assert both.n_words == 3
    assert both.tokens == (*examples[0].text, *examples[1].text)
    assert Reference.of([], language="en") == Reference("", ())


def test_what_is_drawn_is_compared_in_the_language_of_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = ExampleBuilder(tiny_checkpoint(), language="de")
    examples, _ = builder.build([TrainingClip("c", say("red"), "um schön", "s")])
    _, sampler, features, _ = opened(n=1)
    written = SimpleNamespace(text="schon", tokens=(), avg_logprob=-1.0)
    monkeypatch.setattr(sequence_sampling, "decode_features", lambda *_: [written])
    errors = {}
    for code in ("de", "en"):
        reference = Reference.of(examples, language=code)
        errors[code] = (reference.n_words, sampler.draw(features[:1], [reference], seed=0)[0].errors)
    assert errors == {"de": (2, 2), "en": (1, 0)}
