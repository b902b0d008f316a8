"""A model that knows a language finds the right text likelier than a wrong one, and says so in nats."""

import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_whisper import say, tiny_checkpoint

from projectone.server.training import TrainingClip
from projectone.server.training.agreement import TextScorer
from projectone.server.training.examples import ExampleBuilder, padded_mel, stack_mels
from projectone.server.training.loss import Batch, collate_targets, mean_cross_entropy


def test_a_score_is_the_loss_of_that_text_alone_whatever_is_scored_beside_it() -> None:
    checkpoint = tiny_checkpoint(seed=3)
    clip = say("red green", seed=1)
    scorer = TextScorer(checkpoint)
    alone = scorer.nats(clip, ["red green"])
    beside = scorer.nats(clip, ["black", "red green", "blue blue blue"])
    assert beside[1] == pytest.approx(alone[0], rel=1e-4)
    builder = ExampleBuilder(checkpoint, language="en")
    (example,), _ = builder.build([TrainingClip("a", clip, "red green", "ann")])
    tokens, rows, columns, wanted = collate_targets([builder.plain_target(example)], pad=checkpoint.tokenizer.eot)
    mel = padded_mel(clip, n_mels=checkpoint.dims.n_mels)
    batch = Batch(
        mel=mx.array(stack_mels([mel], mel[0].shape[0])), tokens=mx.array(tokens), rows=mx.array(rows),
        columns=mx.array(columns), targets=mx.array(wanted), audio_s=1.0,
    )  # fmt: skip
    assert alone[0] == pytest.approx(mean_cross_entropy(checkpoint.model, batch).item(), rel=1e-5)


def test_what_the_model_has_no_room_for_has_no_score() -> None:
    scorer = TextScorer(tiny_checkpoint())
    assert scorer.nats(say("red", seed=1), ["red " * 200, "", "red"])[:2] == [None, None]
    assert scorer.nats(np.zeros(16_000 * 3, np.float32), ["red"]) == [None]


def test_the_surprise_is_how_much_likelier_the_heard_text_is() -> None:
    scorer = TextScorer(tiny_checkpoint(seed=3))
    clip = say("red green", seed=1)
    found = scorer.agreement(clip, "red green", "black")
    assert found["surprise_nats"] == pytest.approx(found["said_nats"] - found["heard_nats"], abs=1e-3)
    assert scorer.agreement(clip, "black", "red green")["surprise_nats"] == pytest.approx(
        -found["surprise_nats"], abs=1e-3
    )
    assert set(scorer.agreement(clip, "red", "")) == {"said_nats"}
