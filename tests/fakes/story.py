"""A demo as it might have gone, with texts and names that a stranger could have chosen."""

from __future__ import annotations

from dataclasses import replace

from projectone.contracts.scores import Score, Verdict
from projectone.demo.story import (
    Act,
    Example,
    FirstAnswer,
    Meaning,
    Story,
    TrainingRun,
    Understood,
    User,
    Version,
    Withheld,
)

HOSTILE = "<script>alert(1)</script> =cmd $x^2$ \u05e9\u05dc\u05d5\u05dd"


def score(value: float, n_units: int = 400) -> Score:
    return Score(value=value, low=max(0.0, value - 0.03), high=value + 0.04, n_units=n_units)


def user(name: str, before: float, after: float, *, has_consented: bool = True) -> User:
    return User(
        name=name, accent="en-gb-scotland", has_consented=has_consented, n_recordings=40, n_corrected=21,
        n_sent=40 if has_consented else 0, n_kept_back=25, before=score(before, 90), after=score(after, 90),
        active_version="1.1.0",
    )  # fmt: skip


LEARNING = TrainingRun(
    run_id="run-0001",
    status="deployed",
    n_clips=160,
    audio_s=312.0,
    wall_s=88.0,
    losses=tuple((step, 3.0 / (1 + step / 20)) for step in range(0, 200, 5)),
    discarded={"silence": 2},
    verdict=Verdict(
        decision="promote",
        reasons=("the gain of 21.3 points is beyond chance", "no slice is clearly worse"),
        gain=0.213, gain_low=0.15, gain_high=0.27,
    ),
    notification=None,
)  # fmt: skip
POISONED = TrainingRun(
    run_id="run-0002",
    status="quarantined",
    n_clips=260,
    audio_s=520.0,
    wall_s=91.0,
    losses=(),
    discarded={},
    verdict=Verdict(decision="reject", reasons=("worse on the golden set",), gain=-0.4, gain_low=-0.5, gain_high=-0.3),
    notification="Run run-0002 is in quarantine: worse on the golden set. Production stays 1.1.0.",
)

MEANING = Meaning(
    status="deployed",
    version="1.1.0",
    reasons=("better overall, beyond chance",),
    n_sent=60,
    n_kept_back=72,
    n_right_before=51,
    n_right_after=70,
    changed=(Understood(said=HOSTILE, meant="timer", before="weather", after="timer"),),
    first_answers=(
        FirstAnswer(said="dim the hall please", text="I will see to the lights.", reason=HOSTILE, took_ms=12.4),
    ),
    template=("How long do eggs keep?", "I have no answer to that.", "template"),
    wall_s=31.0,
)

STORY = Story(
    corpus="synthetic voices",
    seed=7,
    wall_s=241.5,
    acts=(
        Act(title="Start Hub, API and worker", started_s=0, wall_s=6),
        Act(title="People transcribe and correct", started_s=6, wall_s=40),
        Act(title="The trainer learns", started_s=46, wall_s=95),
        Act(title="A poisoned batch arrives", started_s=141, wall_s=100),
    ),
    users=(
        user("ann", 0.31, 0.08),
        user("björn", 0.42, 0.12),
        user("a very long name that somebody chose for a speaker", 0.28, 0.05),
        user("dora", 0.35, 0.11, has_consented=False),
    ),
    versions=(
        Version(name="1.0.0 the starter", golden=score(0.33), target=score(0.34), is_released=True, tag="v1.0.0"),
        Version(
            name="1.1.0 from corrections", golden=score(0.10), target=score(0.09), is_released=True,
            commit="c" * 40, tag="v1.1.0",
        ),
        Version(name="candidate from the poisoned batch", golden=score(0.61), target=None, is_released=False),
    ),
    target_before=score(0.34),
    target_after=score(0.09),
    golden_before=score(0.33),
    golden_after=score(0.10),
    slices={"en-gb-scotland": (score(0.3), score(0.08)), "en-029": (score(0.41), score(0.12))},
    examples=(
        Example(user="ann", said="seven five nine", before="seven nine", after="seven five nine"),
        Example(user="björn", said="enter b o b", before=HOSTILE, after="enter b o b"),
        Example(user="dora", said="yes", before="", after="yes"),
    ),
    learning=LEARNING,
    poisoned=POISONED,
    n_poisoned=100,
    production_before_poison="1.1.0",
    production_after_poison="1.1.0",
    weights_before_poison="b" * 64,
    weights_after_poison="b" * 64,
    withheld=Withheld(
        user="dora", n_rows=0, n_hits=0, n_files_searched=312, n_bytes_searched=48_000_000, n_samples_opened=96
    ),
    meaning=MEANING,
    folders={"server's home": "server", "logs": "logs", "model card": "server/hub"},
)  # fmt: skip

NOTHING_BETTER = replace(
    STORY,
    target_after=STORY.target_before,
    golden_after=STORY.golden_before,
    learning=replace(LEARNING, status="quarantined", verdict=POISONED.verdict, losses=()),
    production_before_poison="1.0.0",
    production_after_poison="1.0.0",
    examples=(),
    meaning=None,
    slices={},
    users=(user("only one", 0.3, 0.3),),
)
