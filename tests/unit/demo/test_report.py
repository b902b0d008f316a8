import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from tests.fakes.story import HOSTILE, NOTHING_BETTER, STORY

from projectone.demo.report import compare, headline, render, summary_of, write_report


class Reader(HTMLParser):
    """Collects tags, ids and what is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and value and not value.startswith("#"):
                self.fetched.append(value)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_summary_is_plain_json_with_and_without_what_people_mean() -> None:
    for story in (STORY, NOTHING_BETTER):
        assert json.loads(json.dumps(summary_of(story))) == summary_of(story)
    assert summary_of(STORY)["meaning"]["n_right_after"] == 70 and summary_of(NOTHING_BETTER)["meaning"] is None
    assert "What people mean: deployed" in render(STORY) and "What people mean" not in render(NOTHING_BETTER)


def test_the_headline_says_what_happened() -> None:
    assert "fell from 34.0\u202f% to 9.0\u202f%" in headline(STORY)
    assert "nothing was released" in headline(NOTHING_BETTER)


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    page = read(render(STORY))
    assert page.fetched == []
    assert "script" not in page.tags


def test_a_hostile_transcript_is_shown_and_not_obeyed() -> None:
    page = render(STORY)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "script" not in read(page).tags


def test_every_drawing_has_ids_of_its_own_and_a_name() -> None:
    page = render(STORY)
    ids = read(page).ids
    assert len(ids) == len(set(ids))
    assert len(re.findall(r'<svg role="img" aria-label="[A-Z]', page)) == 5


def test_the_colours_are_the_pages() -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", render(STORY), re.DOTALL))
    assert "var(--after)" in drawings
    assert re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", drawings) == []


def test_a_story_without_examples_slices_and_losses_is_still_a_page() -> None:
    page = render(NOTHING_BETTER)
    assert "No better model" in page
    assert "Heard before" not in page


def test_the_same_story_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_report(STORY, tmp_path / "a").read_bytes()
    second = write_report(STORY, tmp_path / "b").read_bytes()
    assert first == second


def test_the_summary_holds_what_a_machine_asks_for(tmp_path: Path) -> None:
    write_report(STORY, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary == json.loads(json.dumps(summary_of(STORY)))
    for name in ("target_wer_before", "target_wer_after", "golden_wer_before", "golden_wer_after"):
        assert set(summary[name]) == {"value", "low", "high", "n_words"}
    assert summary["deployed_version"] == "1.1.0"
    assert summary["active_versions"]["dora"] == "1.1.0"
    assert summary["withheld_user_samples_on_server"] == 0
    assert summary["poisoned_batch_status"] == "quarantined"
    assert summary["is_production_as_before"] is True
    assert (summary["production_before_poison"], summary["production_after_poison"]) == ("1.1.0", "1.1.0")
    assert summary["wall_s"] == 241.5


def test_the_page_says_whether_production_is_as_before_the_poison() -> None:
    assert "Not a byte changed" in render(STORY)
    changed = render(replace(STORY, weights_after_poison="d" * 64))
    assert "Not a byte changed" not in changed
    assert "another model" in changed


def test_the_page_says_how_much_of_a_corpus_was_taken() -> None:
    taken = "The demo takes 12 of the corpus's 74 speakers"
    page = render(replace(STORY, taken=taken))
    assert "12 of the corpus&#39;s 74 speakers" in page
    assert "12 of the corpus" not in render(STORY)


def test_a_comparison_marks_what_was_misheard_and_what_is_missing() -> None:
    assert [(piece.text, piece.is_right) for piece in compare("a b c d", "a x c")] == [
        ("a", True),
        ("x", False),
        ("c", True),
        ("\u2013", False),
    ]
    assert HOSTILE.split()[0] in compare("enter", HOSTILE)[0].text
