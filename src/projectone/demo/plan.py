"""Who records what: any manifest becomes users, a golden set and recordings that never leave a device."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from projectone.errors import DataError
from projectone.server.corpus.manifests import ManifestRow

GoldenSource = Literal["split", "speakers", "users"]
"""Where the golden set is from: the manifest's own split, speakers set apart, or clips that users lent for judging."""

# The first of these groups that a manifest has is its golden set.
GOLDEN_SPLITS = (("golden",), ("test", "eval", "evaluation"), ("dev", "valid", "validation"))
_MANY_SPEAKERS = 8
_UNKNOWN_DURATION_S = 3.0
_FEWEST_CLIPS = 4


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of a corpus the demo takes, so that it ends within five minutes on two cores.

    Attributes:
        users: Speakers that become users; up to twice as many where each has few recordings.
        to_correct: Recordings of each user to correct and upload; half as many more where users are fewer.
        kept_back: Recordings of each user that are never uploaded; half as many more where users are fewer.
        golden: Clips of the golden set; half as many more where users are fewer and lend them.
        judges: Speakers set apart for the golden set where the manifest names none, at most.
        poisoned: Wrong corrections that arrive at the end, at most.
        to_correct_s: Seconds of all recordings to correct; the kept-back, golden and poisoned ones get as many.
    """

    users: int = 6
    to_correct: int = 40
    kept_back: int = 25
    golden: int = 108
    judges: int = 24
    poisoned: int = 400
    to_correct_s: float = 420.0


@dataclass(frozen=True, kw_only=True)
class PersonPlan:
    """One speaker as a user: which recordings they correct and which never leave the device."""

    name: str
    accent: str | None
    has_consented: bool
    to_correct: tuple[ManifestRow, ...]
    kept_back: tuple[ManifestRow, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Who records what. `spare` are recordings of nobody who withheld consent, for the poisoned batch."""

    people: tuple[PersonPlan, ...]
    golden: tuple[ManifestRow, ...]
    golden_source: GoldenSource
    spare: tuple[ManifestRow, ...]


def plan_demo(rows: Sequence[ManifestRow], *, size: Size, seed: int) -> Plan:
    """Split a manifest: the same rows and seed give the same plan.

    Exactly one user withholds consent; no recording of theirs is in the golden set or among the spare ones.

    Raises:
        DataError: ``corpus-too-small`` if there are not two speakers with enough recordings.
    """
    spoken = [row for row in rows if row.text.strip()]
    golden_rows, own_rows = _by_split(spoken)
    speakers = _by_speaker(own_rows, seed)
    golden_source: GoldenSource = "users"
    golden: list[ManifestRow] = []
    if golden_rows:
        golden_source = "split"
    elif len(speakers) >= _MANY_SPEAKERS:
        golden_source = "speakers"
        apart = sorted(speakers)
        random.Random(f"{seed}-golden").shuffle(apart)
        golden_rows = [row for name in apart[: _n_judges(len(apart), size)] for row in speakers.pop(name)]
    chosen = _choose_users(speakers, size, seed)
    withheld = random.Random(f"{seed}-withheld").choice(sorted(chosen))
    if golden_rows:
        golden = _in_turn([row for row in golden_rows if row.speaker != withheld], size.golden, size.to_correct_s, seed)
    if not golden:
        golden_source = "users"
    people: list[PersonPlan] = []
    spare = [row for name, own in speakers.items() if name not in chosen for row in own]
    n_lent = math.ceil(_more(size, len(chosen)) * size.golden / max(1, len(chosen) - 1))
    for name in chosen:
        own = speakers[name]
        if golden_source == "users" and name != withheld:
            cut = min(n_lent, len(own) // 4)
            golden, own = [*golden, *own[:cut]], own[cut:]
        person, rest = _person(own, name != withheld, size, n_users=len(chosen))
        people.append(person)
        spare += rest if person.has_consented else []
    random.Random(f"{seed}-spare").shuffle(spare)
    return Plan(people=tuple(people), golden=tuple(golden), golden_source=golden_source, spare=tuple(spare))


def _by_split(rows: Sequence[ManifestRow]) -> tuple[list[ManifestRow], list[ManifestRow]]:
    for names in GOLDEN_SPLITS:
        golden = [row for row in rows if row.split is not None and row.split.lower() in names]
        if golden and len(golden) < len(rows):
            kept = {row.clip_id for row in golden}
            return golden, [row for row in rows if row.clip_id not in kept]
    return [], list(rows)


def _by_speaker(rows: Iterable[ManifestRow], seed: int) -> dict[str, list[ManifestRow]]:
    """Speakers with enough recordings, each one's in a seeded order."""
    found: defaultdict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        found[row.speaker].append(row)
    speakers = {name: own for name, own in sorted(found.items()) if len(own) >= _FEWEST_CLIPS}
    for name, own in speakers.items():
        random.Random(f"{seed}-{name}").shuffle(own)
    if len(speakers) < 2:
        raise DataError(
            "corpus-too-small",
            f"corpus: expected two speakers or more with at least {_FEWEST_CLIPS} recordings each (one consents, one "
            f"does not), got {len(speakers)} among {len(found)}",
        )
    return speakers


def _n_judges(n_speakers: int, size: Size) -> int:
    """A fifth of the speakers; of many speakers more, as long as as many are left over when the users are chosen."""
    return max(2, round(0.2 * n_speakers), min(size.judges, (n_speakers - 2 * size.users) // 2))


def _choose_users(speakers: dict[str, list[ManifestRow]], size: Size, seed: int) -> list[str]:
    names = sorted(speakers)
    random.Random(f"{seed}-users").shuffle(names)
    typical = sorted(len(own) for own in speakers.values())[len(speakers) // 2]
    n_wanted = size.users if typical >= (size.to_correct + size.kept_back) / 2 else 2 * size.users
    return names[: max(2, n_wanted)]


def _more(size: Size, n_users: int) -> float:
    """How much more of each user is taken where users are fewer."""
    return min(1.5, max(1.0, size.users / n_users))


def _person(
    own: Sequence[ManifestRow], has_consented: bool, size: Size, *, n_users: int
) -> tuple[PersonPlan, list[ManifestRow]]:
    budget_s = size.to_correct_s / n_users
    more = _more(size, n_users)
    n_to_correct = round(more * size.to_correct)
    n_kept_back = max(1, min(round(more * size.kept_back), round(0.4 * len(own))))
    kept_back = _within(own[:n_kept_back], budget_s)
    rest = own[n_kept_back:]
    to_correct = _within(rest[:n_to_correct], budget_s)
    person = PersonPlan(
        name=own[0].speaker,
        accent=own[0].accent,
        has_consented=has_consented,
        to_correct=tuple(to_correct),
        kept_back=tuple(kept_back),
    )
    return person, list(rest[len(to_correct) :])


def _within(rows: Sequence[ManifestRow], budget_s: float) -> list[ManifestRow]:
    """The first rows that fit into `budget_s`; at least one."""
    kept: list[ManifestRow] = []
    for row in rows:
        budget_s -= _UNKNOWN_DURATION_S if row.duration_s is None else row.duration_s
        if kept and budget_s < 0:
            break
        kept.append(row)
    return kept


def _in_turn(rows: Sequence[ManifestRow], n: int, budget_s: float, seed: int) -> list[ManifestRow]:
    """At most `n` rows within the budget, a few of each speaker."""
    by_speaker: defaultdict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        by_speaker[row.speaker].append(row)
    for name, own in by_speaker.items():
        random.Random(f"{seed}-golden-{name}").shuffle(own)
    longest = max((len(own) for own in by_speaker.values()), default=0)
    ordered = [own[index] for index in range(longest) for own in by_speaker.values() if index < len(own)]
    return _within(ordered[:n], budget_s)
