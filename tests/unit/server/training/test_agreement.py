"""A model that knows a language finds the right text likelier than a wrong one, and says so in nats."""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_whisper import say, tiny_checkpoint

from projectone.server.corpus.manifests import read_manifest
from projectone.server.corpus.review import ODD_NATS
from projectone.server.training import TrainingClip
from projectone.server.training.agreement import TextScorer
from projectone.server.training.examples import ExampleBuilder, padded_mel, stack_mels
from projectone.server.training.forced_alignment import stretches
from projectone.server.training.loss import Batch, collate_targets, mean_cross_entropy
from projectone.server.work.clips import open_decoder
from projectone.speech.checkpoint import load_checkpoint

STARTER = Path(__file__).parents[4] / "models" / "starter"
NEVER_HEARD = {"fbbh", "mcen", "mgah", "mrcb", "fjam", "fplp", "mdxs", "mjjs2", "mmap", "mtje"}


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
    assert set(scorer.agreement(clip, "red", "")) == {"said_nats", "worst_nats", "longest_token_s"}


def test_one_odd_word_shows_in_the_worst_token_and_not_in_the_mean_alone() -> None:
    scorer = TextScorer(tiny_checkpoint(seed=3))
    clip = say("red green", seed=1)
    (fit,) = scorer.fits(clip, ["red green blue"])
    assert fit is not None
    assert fit.worst_nats > fit.nats
    assert 0 < fit.longest_token_s <= clip.size / 16_000 + 0.02


def test_stretches_follow_what_each_token_looks_at() -> None:
    attention = np.full((3, 12), -1.0, np.float32)
    attention[0, :2] = attention[1, 2:9] = attention[2, 9:] = 1.0
    assert stretches(attention).tolist() == [2, 7, 3]
    assert stretches(np.zeros((1, 5), np.float32)).tolist() == [5]
    assert stretches(np.zeros((4, 2), np.float32)).sum() >= 4


def test_wrong_texts_of_real_speech_fit_worse_by_their_worst_token(real_data: Path) -> None:
    """T26: the starter and people whom it never heard; a word put in the middle of what they said."""
    rows = [row for row in read_manifest(real_data / "an4") if row.speaker in NEVER_HEARD and len(row.text.split()) > 2]
    with open_decoder() as decode:
        clips = [(decode(row.audio), row.text) for row in rows[:: len(rows) // 8][:8]]
    scorer = TextScorer(load_checkpoint(STARTER))
    right, wrong = [], []
    for samples, text in clips:
        words = text.split()
        planted = " ".join([*words[:1], "unlock", *words[1:]])
        told, lied = scorer.fits(samples, [text, planted])
        assert told is not None
        assert lied is not None
        right.append(told.worst_nats)
        wrong.append(lied.worst_nats)
    assert sum(worst >= ODD_NATS for worst in wrong) >= 7
    assert sum(worst >= ODD_NATS for worst in right) <= 1
