from collections import Counter
from pathlib import Path

import pytest

from projectone.demo.plan import Plan, Size, plan_demo
from projectone.errors import DataError
from projectone.server.corpus.manifests import ManifestRow

SMALL = Size(users=4, to_correct=10, kept_back=5, golden=12, poisoned=20)


def corpus(
    n_speakers: int, n_clips: int, *, split: str | None = None, duration_s: float | None = 1.0
) -> list[ManifestRow]:
    return [
        ManifestRow(
            clip_id=f"{split}/s{speaker}/{clip}",
            audio=Path(f"{split}/s{speaker}/{clip}.wav"),
            text=f"word {clip}",
            speaker=f"s{speaker}",
            accent=f"accent{speaker % 2}",
            split=split,
            duration_s=duration_s,
        )
        for speaker in range(n_speakers)
        for clip in range(n_clips)
    ]


def parts(plan: Plan) -> list[str]:
    own = [row for person in plan.people for row in (*person.to_correct, *person.kept_back)]
    return [row.clip_id for row in (*own, *plan.golden, *plan.spare)]


def withheld(plan: Plan) -> str:
    (name,) = (person.name for person in plan.people if not person.has_consented)
    return name


@pytest.mark.parametrize(("n_speakers", "n_clips"), [(2, 200), (4, 200), (9, 30), (74, 13), (125, 8), (2, 6)])
def test_every_recording_has_one_part_and_nobody_else_says_no(n_speakers: int, n_clips: int) -> None:
    plan = plan_demo(corpus(n_speakers, n_clips), size=Size(), seed=1)
    assert Counter(parts(plan)).most_common(1)[0][1] == 1
    assert sum(not person.has_consented for person in plan.people) == 1
    assert len(plan.people) >= 2
    assert all(person.to_correct and person.kept_back for person in plan.people)
    assert plan.golden


@pytest.mark.parametrize("n_speakers", [2, 4, 12])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_of_the_one_who_says_no_judges_or_poisons(n_speakers: int, seed: int) -> None:
    plan = plan_demo(corpus(n_speakers, 40), size=SMALL, seed=seed)
    assert withheld(plan) not in {row.speaker for row in (*plan.golden, *plan.spare)}


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    rows = corpus(10, 30)
    plan = plan_demo(rows, size=SMALL, seed=1)
    assert plan_demo(list(reversed(rows)), size=SMALL, seed=1).people[0].name == plan.people[0].name
    assert plan_demo(rows, size=SMALL, seed=1) == plan
    assert plan_demo(rows, size=SMALL, seed=2) != plan


def test_few_speakers_lend_clips_and_many_are_judged_by_people_who_are_no_users() -> None:
    few, many = (plan_demo(corpus(n, 40), size=SMALL, seed=1) for n in (4, 20))
    users = {person.name for person in many.people}
    assert (few.golden_source, many.golden_source) == ("users", "speakers")
    assert {row.speaker for row in few.golden} == {p.name for p in few.people if p.has_consented}
    assert not users & {row.speaker for row in many.golden}


def test_the_corpus_own_split_is_kept_but_for_the_one_who_says_no() -> None:
    rows = [*corpus(3, 30, split="train"), *corpus(3, 6, split="test")]
    plan = plan_demo(rows, size=SMALL, seed=1)
    assert plan.golden_source == "split"
    assert {row.split for row in plan.golden} == {"test"}
    assert {row.speaker for row in plan.golden} == {person.name for person in plan.people} - {withheld(plan)}
    assert {row.split for person in plan.people for row in person.to_correct} == {"train"}


def test_a_split_that_holds_only_the_one_who_says_no_is_not_used() -> None:
    rows = corpus(3, 30, split="train")
    silent = withheld(plan_demo(rows, size=SMALL, seed=1))
    marked = [row for row in corpus(3, 6, split="golden") if row.speaker == silent]
    plan = plan_demo([*rows, *marked], size=SMALL, seed=1)
    assert plan.golden_source == "users"
    assert silent not in {row.speaker for row in plan.golden}


def test_long_recordings_make_fewer_so_that_the_demo_stays_short() -> None:
    size = Size(users=4, to_correct=40, kept_back=25, golden=100, to_correct_s=120.0)
    plan = plan_demo(corpus(4, 200, duration_s=10.0), size=size, seed=1)
    assert sum(row.duration_s or 0 for person in plan.people for row in person.to_correct) <= 120.0
    short = plan_demo(corpus(4, 200, duration_s=0.5), size=size, seed=1)
    assert {len(person.to_correct) for person in short.people} == {40}


def test_clips_without_a_length_in_the_manifest_are_guessed_not_refused() -> None:
    plan = plan_demo(corpus(4, 40, duration_s=None), size=SMALL, seed=1)
    assert all(person.to_correct for person in plan.people)


@pytest.mark.parametrize(("n_speakers", "n_clips"), [(1, 300), (5, 1)])
def test_a_corpus_of_one_person_or_of_crumbs_is_refused_with_what_is_needed(n_speakers: int, n_clips: int) -> None:
    with pytest.raises(DataError, match="two speakers or more") as caught:
        plan_demo(corpus(n_speakers, n_clips), size=SMALL, seed=1)
    assert caught.value.reason == "corpus-too-small"


def test_clips_in_which_nobody_speaks_have_no_part() -> None:
    silent = [
        ManifestRow(clip_id=f"silent{n}", audio=Path("x.wav"), text=" ", speaker="s0", duration_s=1.0) for n in range(9)
    ]
    assert not {row.clip_id for row in silent} & set(parts(plan_demo([*corpus(3, 30), *silent], size=SMALL, seed=1)))


@pytest.mark.parametrize(("n_speakers", "n_judges"), [(8, 2), (20, 4), (36, 12), (74, 24), (125, 25)])
def test_of_many_speakers_many_judge(n_speakers: int, n_judges: int) -> None:
    plan = plan_demo(corpus(n_speakers, 10), size=Size(), seed=1)
    assert len({row.speaker for row in plan.golden}) == n_judges
    assert len(plan.people) >= 6 if n_speakers > 8 else len(plan.people) == 6
    assert {row.speaker for row in plan.golden}.isdisjoint(person.name for person in plan.people)
