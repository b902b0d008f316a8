"""Weights are read from the file that is known, and from no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from projectone.contracts.base import sha256_hex
from projectone.errors import DigestMismatchError
from projectone.server.voices.activity import SpeakerActivity
from projectone.server.voices.embedding import VoiceEncoder
from projectone.server.voices.weights import TURNS, find_weights, read_at, read_content


@pytest.mark.parametrize("network", [SpeakerActivity, VoiceEncoder])
def test_another_file_is_refused_before_anything_of_it_is_read(
    network: type[SpeakerActivity] | type[VoiceEncoder], tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")  # a pickle that would run a program
    with pytest.raises(DigestMismatchError, match="expected sha256"):
        network(path)


def test_numbers_lie_where_they_are_known_to_lie(tmp_path: Path) -> None:
    content = b"head" + bytes.fromhex("0000803f 000000c0")
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    file = replace(TURNS, sha256=sha256_hex(content))
    assert read_at(read_content(file, path), 4, 2).tolist() == [1.0, -2.0]


def test_a_package_that_is_not_there_has_no_weights() -> None:
    assert find_weights(replace(TURNS, package="no_such_package_of_anybody")) is None
    assert find_weights(replace(TURNS, package="json", path="no/such/file")) is None
