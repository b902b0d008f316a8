from tests.unit.server.evaluation.test_gate import report, utterance

from projectone.server.console.decision_page import picture_of, render_file
from projectone.server.evaluation.decision import Decision, compare_clips, compare_slices, words_of
from projectone.server.evaluation.gate import judge


def kinds(reference: str, hypothesis: str) -> list[tuple[str, str]]:
    return [(word.kind, word.text) for word in words_of(reference, hypothesis)]


def test_a_transcript_is_marked_as_it_is_scored() -> None:
    assert kinds("Go to Bonn now!", "go two bonn") == [
        ("right", "go"),
        ("wrong", "two"),
        ("right", "bonn"),
        ("missing", "now"),
    ]
    assert kinds("", "thank you") == [("added", "thank"), ("added", "you")]


def test_clips_come_by_how_much_they_changed() -> None:
    before = report([utterance(i, errors) for i, errors in enumerate((0, 5, 2, 3))])
    after = report([utterance(i, errors) for i, errors in enumerate((1, 0, 6, 3))])
    better, worse, n_same = compare_clips(before, after, {"2": "w"})
    assert [(clip.clip_id, clip.gained) for clip in better] == [("1", 5)]
    assert [(clip.clip_id, clip.gained) for clip in worse] == [("2", -4), ("0", -1)]
    assert n_same == 1
    assert (worse[0].reference, worse[1].reference, worse[1].after) == ("w", None, ())


def test_the_page_draws_every_slice_to_one_scale_and_makes_nothing_of_words_but_words() -> None:
    evil = "<script>alert(1)</script>"
    sides = [
        report(
            [
                utterance(i, 4 if side == 0 or i % 2 else 1, speaker=f"s{i % 12}", slice_="ab"[i % 2] + evil, text=evil)
                for i in range(60)
            ]
        )
        for side in (0, 1)
    ]
    better, worse, n_same = compare_clips(sides[0], sides[1], dict.fromkeys(map(str, range(60)), evil))
    decision = Decision(
        run_id="r",
        state="waiting",
        verdict=judge(sides[0], sides[1]),
        approvals=(evil,),
        production=evil,
        candidate_sha256="c" * 64,
        slices=compare_slices(*sides),
        better=better,
        worse=worse,
        n_same=n_same,
        facts=((evil, evil, evil),),
        is_complete=True,
    )
    picture = picture_of(decision)
    assert picture is not None
    everybody, first, second = picture.bars
    assert [bar.kind for bar in picture.bars] == ["up", "up", "open"]
    assert picture.zero < everybody.value < first.value
    assert second.value == picture.zero
    assert "<script" not in render_file(decision)
