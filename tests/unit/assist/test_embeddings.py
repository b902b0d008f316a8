"""Texts as vectors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.embeddings import HashingEmbedder, SentenceEmbedder
from projectone.assist.protocols import Embedder


@pytest.mark.parametrize("embedder", [HashingEmbedder(64), SentenceEmbedder(tiny_bert())], ids=["hashing", "sentence"])
def test_every_embedder_gives_unit_vectors_that_do_not_hang_on_neighbours(embedder: Embedder) -> None:
    together = embedder.embed(["play some music", "rain", "set the alarm"])
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert (embedder.embed(["rain"])[0] == together[1]).all()
    assert embedder.embed([]).shape == (0, together.shape[1])


def test_hashing_puts_alike_texts_side_by_side_and_the_same_in_every_process() -> None:
    embedder = HashingEmbedder()
    near, same, far = embedder.embed(["play the songs", "Play the song!", "what a warm rain"])
    assert near @ same > 0.6 > 0.3 > near @ far
    assert not embedder.embed(["  ?! "]).any()
    program = (
        "from projectone.assist.embeddings import HashingEmbedder\n"
        "print(HashingEmbedder().embed(['play the songs']).tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == near.tobytes().hex()
