from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectone.errors import ArtifactError
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.vocabulary import train_tokenizer

SMALL = train_tokenizer([" seven three nine"], n_text_tokens=260, languages=("en", "de"), window_s=2.0)


@given(st.text())
def test_every_text_comes_back_as_it_was(text: str) -> None:
    assert SMALL.decode(SMALL.encode(text)) == text


@given(st.sampled_from(["<|endoftext|>", "<|en|>", "<|0.00|>", "<|startoftranscript|>"]), st.text())
def test_a_special_token_written_in_a_text_stays_text(special: str, text: str) -> None:
    ids = SMALL.encode(text + special)
    assert max(ids) < SMALL.eot
    assert SMALL.decode(ids) == text + special


def test_the_ids_are_in_whispers_order(tokenizer: Tokenizer) -> None:
    assert tokenizer.eot + 1 == tokenizer.sot
    assert tokenizer.language_id("en") == tokenizer.sot + 1
    assert tokenizer.timestamp_begin == tokenizer.no_timestamps + 1
    assert tokenizer.n_vocab == tokenizer.timestamp_begin + 101  # 2 s at 50 per second, both ends included
    assert tokenizer.languages == ("en", "de")


def test_decoding_leaves_out_specials_and_shows_timestamps_only_when_asked(tokenizer: Tokenizer) -> None:
    begin = tokenizer.timestamp_begin
    ids = [tokenizer.sot, begin, *tokenizer.encode(" seven"), begin + 62, tokenizer.eot]
    assert tokenizer.decode(ids) == " seven"
    assert tokenizer.decode_with_timestamps(ids) == "<|0.00|> seven<|1.24|>"


def test_an_unknown_language_is_refused_with_the_known_ones(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="expected one of en, de, got 'fr'"):
        tokenizer.language_id("fr")


def test_the_file_is_kept_byte_for_byte(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.source, encoding="utf-8")
    again = Tokenizer.from_file(path)
    assert again.source == tokenizer.source
    assert again.encode(" seven three") == tokenizer.encode(" seven three")


def test_training_twice_gives_the_same_vocabulary() -> None:
    texts = [" alpha bravo charlie delta", " bravo delta"]
    assert train_tokenizer(texts, n_text_tokens=280).source == train_tokenizer(texts, n_text_tokens=280).source


def test_an_english_only_vocabulary_names_no_language(english_tokenizer: Tokenizer) -> None:
    assert not english_tokenizer.is_multilingual
    assert english_tokenizer.languages == ()


@pytest.mark.parametrize("source", ["", "[]", "{}", '{"added_tokens": []}', '{"added_tokens": [{"id": 1}]}', "\x00"])
def test_a_file_that_is_no_tokenizer_is_refused(source: str) -> None:
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        Tokenizer(source)


def test_a_missing_special_token_is_named(tokenizer: Tokenizer) -> None:
    raw = json.loads(tokenizer.source)
    raw["added_tokens"] = [t for t in raw["added_tokens"] if t["content"] != "<|startoftranscript|>"]
    with pytest.raises(ArtifactError, match=r"without \['<\|startoftranscript\|>'\]"):
        Tokenizer(json.dumps(raw))


def test_timestamps_at_another_pace_are_refused(tokenizer: Tokenizer) -> None:
    raw = json.loads(tokenizer.source)
    for token in raw["added_tokens"]:
        if token["content"] == "<|0.04|>":
            token["content"] = "<|0.05|>"
    with pytest.raises(ArtifactError, match=r"0\.02 s per token"):
        Tokenizer(json.dumps(raw))


def test_two_special_tokens_with_one_id_are_refused(tokenizer: Tokenizer) -> None:
    raw = json.loads(tokenizer.source)
    raw["added_tokens"][-1]["id"] -= 1
    with pytest.raises(ArtifactError, match="share a name or an id"):
        Tokenizer(json.dumps(raw))


def test_a_special_token_below_end_of_text_is_refused(tokenizer: Tokenizer) -> None:
    raw = json.loads(tokenizer.source)
    for token in raw["added_tokens"]:
        if token["content"] == "<|startofprev|>":
            token["id"] = 3
    with pytest.raises(ArtifactError, match="below"):
        Tokenizer(json.dumps(raw))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"'tokenizer\.json' cannot be read"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")
