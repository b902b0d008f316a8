import pytest

from projectone.contracts.texts import MAX_TRANSCRIPT_CHARACTERS, clean_transcript
from projectone.errors import DataError


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  two   words\n", "two words"),
        ("cafe\u0301", "caf\u00e9"),
        ("it's 7 o'clock", "it's 7 o'clock"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
    ],
)
def test_what_a_person_could_say_is_kept(given: str, kept: str) -> None:
    assert clean_transcript(given) == kept


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "text-empty"),
        ("  .,- ", "text-empty"),
        ("a\x00b", "text-characters"),
        ("a\x1b[31m", "text-characters"),
        ("a\u202eb", "text-characters"),
        ("a\u200bb", "text-characters"),
        ("a\U000e0041", "text-characters"),
        ("a\ud800", "text-characters"),
        ("a" + "\u0301" * 9, "text-characters"),
        ("a" * (MAX_TRANSCRIPT_CHARACTERS + 1), "text-too-long"),
    ],
)
def test_a_hostile_text_is_refused_for_its_own_reason(text: str, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        clean_transcript(text)
    assert caught.value.reason == reason
