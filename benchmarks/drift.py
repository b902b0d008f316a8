"""Made-up years of real speech: false alarms, the delay of planted drifts, and what a report gives away of a person.

Clips of the collection in ../shared/data, as they are and harmed in ten ways, are heard by the starter model and put
into classes by the device's own code (once; `--signals` keeps them). Simulated devices, each with one speaker's clips,
say every week what a device would say of them, drawn by its own code; the server's own watch reads the sums.

    python benchmarks/drift.py [--quick] [--json] [--devices N]... [--runs N] [--signals FILE]
    python benchmarks/drift.py --attack          only what a report gives away, beside clipped counts
    python benchmarks/drift.py --family intents --classifier out/intents     sentences of CLINC150 under a classifier

    python benchmarks/drift.py --family safety --classifier out/safety       comments and sentences under its alarm

Devices of the family intents have a model of speech, too, so that half of their weeks are about that; those of the
family safety have both others, so that a third of their weeks are about it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from drift_intents import measure_intents
from drift_safety import measure_safety
from drift_signals import Measured, measure_signals, read_signals

from projectone.contracts import quality
from projectone.contracts.quality import draw_answer, weeks_before
from projectone.contracts.questions import ASKED_FAMILIES, HISTOGRAMS_OF, N_BINS, OUTCOMES, Histogram, family_asked
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.quality.measures import measure_warnings, measure_week
from projectone.server.monitoring import two_samples
from projectone.server.monitoring.drift import DriftLimits, Watched, watch

REPOSITORY = Path(__file__).resolve().parents[1]
_FILES = {"speech": "drift-signals.jsonl", "intents": "drift-intents.jsonl", "safety": "drift-safety.jsonl"}
_MODELS_THERE: Mapping[Family, int] = {"speech": 1, "intents": 2, "safety": 3}
FIRST_WEEK = "2026-W02"
STABLE_WEEKS = 200
PLANTED_AT = 12
FOLLOWED_WEEKS = 26
RECORDINGS_A_WEEK = 10
_CAP = 20
_OF_A_WEEK: tuple[Histogram, ...] = ("corrected", "warned")
CORRECTIONS = ("another", "should-be-none", "should-be-one")

Answers = dict[Histogram, tuple[int, ...]]
Pool = dict[Histogram, tuple[int, ...]]
"""One speaker's clips: how many fall into each class."""
Population = list[Pool]


@dataclass(frozen=True)
class Fleet:
    """Devices: each records the clips, or asks the sentences, of one speaker.

    Attributes:
        speakers: Of each device.
        source: Of everything that is drawn.
        asked: In how many weeks of all a device is asked about this family.
    """

    speakers: list[int]
    source: random.Random
    asked: float = 1.0

    def week(self, people: Population, harmed: Population | None = None, share: float = 1.0) -> Answers:
        """What all of them say of one week, each of one recording that is drawn from its speaker's clips.

        Args:
            people: The clips of each speaker.
            harmed: The same clips, harmed, for a share of the devices.
            share: Which share; the devices are the same ones every week.
        """
        questions = tuple(people[0])
        found = {histogram: [0] * N_BINS for histogram in questions}
        for device, speaker in enumerate(self.speakers):
            if self.source.random() >= self.asked:
                continue
            pools = harmed if harmed is not None and device < share * len(self.speakers) else people
            histogram, pool = self.source.choice(questions), pools[speaker % len(pools)]
            counts = self._whole_week(histogram, pool) if histogram in _OF_A_WEEK else pool[histogram]
            found[histogram][draw_answer(counts, self.source)] += 1
        return {histogram: tuple(counts) for histogram, counts in found.items()}

    def _whole_week(self, histogram: Histogram, pool: Pool) -> tuple[int, ...]:
        return self._corrected(pool) if histogram == "corrected" else self._warned(pool)

    def _warned(self, pool: Pool) -> tuple[int, ...]:
        """What a week says of its warnings: of one to nineteen texts, as often warned of as this person's."""
        n_texts, share = self.source.randint(1, 2 * RECORDINGS_A_WEEK - 1), pool["alarm"][1] / sum(pool["alarm"])
        n_warned = sum(self.source.random() < share for _ in range(n_texts))
        return measure_warnings((n_texts - n_warned, n_warned))["warned"]

    def _corrected(self, pool: Pool) -> tuple[int, ...]:
        """What a week says of its corrections: of one to nineteen sentences, as often corrected as this person's."""
        outcomes = dict(zip(OUTCOMES, pool["outcome"], strict=False))
        n_sentences = self.source.randint(1, 2 * RECORDINGS_A_WEEK - 1)
        n_judged = outcomes["understood"] + outcomes["none"]
        share = sum(outcomes[name] for name in CORRECTIONS) / max(1, n_judged)
        n_corrected = sum(self.source.random() < share for _ in range(n_sentences))
        week = {"understood": n_sentences, "another": n_corrected}
        return measure_week([week.get(name, 0) for name in OUTCOMES])["corrected"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few clips and runs, to see that it works")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--devices", type=int, action="append", help="reporting devices (default: 300, 700 and 2000)")
    parser.add_argument("--runs", type=int, default=10, help="of each kind (default: %(default)s)")
    parser.add_argument("--family", choices=ASKED_FAMILIES, default=DEFAULT_FAMILY, help="of the models (%(default)s)")
    parser.add_argument("--classifier", type=Path, help="what `assist train` wrote of CLINC150 or of comments")
    parser.add_argument("--signals", type=Path, help="kept there (default: in out/, by family)")
    parser.add_argument("--attack", action="store_true", help="only what a report gives away")
    arguments = parser.parse_args()
    say = (lambda _: None) if arguments.json else (lambda line: print(line, file=sys.stderr, flush=True))
    file = arguments.signals or REPOSITORY / "out" / _FILES[arguments.family]
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        data = Path(os.environ.get("PROJECTONE_DATA", REPOSITORY.parent / "shared" / "data"))
        few = 2 if arguments.quick else None
        if arguments.family == "speech":
            measure_signals(REPOSITORY / "models" / "starter", data, file, n_speakers=few, say=say)
        elif arguments.classifier is None:
            parser.error(f"--family {arguments.family} needs --classifier, or --signals of an earlier run")
        else:
            measure_by = {"intents": measure_intents, "safety": measure_safety}[arguments.family]
            measure_by(arguments.classifier, data, file, n_people=few, say=say)
    signals = read_signals(file)
    n_runs = 2 if arguments.quick else arguments.runs
    sizes = arguments.devices or ([700] if arguments.quick else [300, 700, 2000])
    report: dict[str, Any] = {
        "family": arguments.family,
        "machine": platform.machine(),
        "clips": len(signals),
        "runs": n_runs,
    }
    report["attack"] = attack(signals, n_devices=100, n_weeks=4 if arguments.quick else 40)
    if not arguments.attack:
        report["fleets"] = {n: fleet_figures(signals, n, n_runs, say) for n in sizes}
    if not arguments.attack and arguments.family == "speech":
        report["coins"] = (
            coin_figures(signals, sizes[0], n_runs) if arguments.quick else coin_figures(signals, 700, n_runs)
        )
    if not arguments.json:
        print(table(report))
    print(json.dumps(report))


def populations(signals: Sequence[Measured]) -> dict[str, Population]:
    """For each harm the clips of each speaker, as their classes by histogram; speakers in one order."""
    by_harm: dict[str, dict[str, dict[Histogram, list[int]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for row in signals:
        pools = by_harm[row.harm][row.speaker]
        for histogram, bin_ in row.bins.items():
            pools[histogram].append(bin_)
    questions = HISTOGRAMS_OF[family_asked(next(iter(signals[0].bins)))]
    return {
        harm: [
            {name: tuple(pools[name].count(bin_) for bin_ in range(N_BINS)) for name in questions}
            for _, pools in sorted(people.items())
        ]
        for harm, people in by_harm.items()
    }


def a_fleet(n_devices: int, n_speakers: int, seed: int, *, family: Family = DEFAULT_FAMILY) -> Fleet:
    source = random.Random(seed)
    devices = [source.randrange(n_speakers) for _ in range(n_devices)]
    return Fleet(devices, source, 1 / _MODELS_THERE[family])


def fleet_figures(
    signals: Sequence[Measured], n_devices: int, n_runs: int, say: Callable[[str], object]
) -> dict[str, Any]:
    """Alarms of stable models, and the delay with which each planted drift is found."""
    people = populations(signals)
    usual, family = people["none"], family_of_people(people["none"])
    alarms = 0
    for seed in range(n_runs):
        fleet = a_fleet(n_devices, len(usual), seed, family=family)
        years = [{_week(place): fleet.week(usual) for place in range(52)} for _ in range(-(-STABLE_WEEKS // 52))]
        alarms += sum(len(watch(year, family=family).drifts) > 0 for year in years)
    n_years = n_runs * -(-STABLE_WEEKS // 52)
    say(f"{n_devices} devices: {alarms} of {n_years} stable years raised an alarm")
    found: dict[str, Any] = {}
    for harm in (name for name in people if name != "none"):
        for share in (1.0, 1 / 3):
            delays = [
                planted(a_fleet(n_devices, len(usual), seed, family=family), usual, people[harm], share)
                for seed in range(n_runs)
            ]
            found[f"{harm}, {share:.0%} of devices"] = _delays(delays)
        say(f"{n_devices} devices: {harm}: {found[f'{harm}, 100% of devices']}")
    return {"stable_years": n_years, "years_with_an_alarm": alarms, "stated": DriftLimits().alpha, "drifts": found}


def family_of_people(people: Population) -> Family:
    """Which questions they are asked."""
    return family_asked(next(iter(people[0])))


def planted(fleet: Fleet, usual: Population, harmed: Population, share: float) -> tuple[int, str] | None:
    """After how many weeks a drift is found, and in which histogram first; None if it is not."""
    weeks = {_week(place): fleet.week(usual) for place in range(PLANTED_AT)}
    for delay in range(1, FOLLOWED_WEEKS + 1):
        weeks[_week(PLANTED_AT + delay - 1)] = fleet.week(usual, harmed, share)
        found: Watched = watch(weeks, family=family_of_people(usual))
        if found.drifts:
            clearest = min(found.drifts, key=lambda drift: drift.comparison.p_value)
            return delay, clearest.comparison.histogram
    return None


def _delays(found: Sequence[tuple[int, str] | None]) -> dict[str, Any]:
    delays = [item[0] for item in found if item is not None]
    names = [item[1] for item in found if item is not None]
    return {
        "found": len(delays),
        "of": len(found),
        "weeks_median": float(np.median(delays)) if delays else None,
        "weeks_longest": max(delays) if delays else None,
        "first_seen_in": max(set(names), key=names.count) if names else None,
    }


def coin_figures(signals: Sequence[Measured], n_devices: int, n_runs: int) -> dict[str, Any]:
    """The same drift (noise on a third of devices) under other coins: what privacy costs."""
    people = populations(signals)
    found: dict[str, Any] = {}
    for share in (0.25, 0.5, 0.75, 1.0):
        epsilon = float(np.log(1 + N_BINS * share / (1 - share))) if share < 1 else None
        fleets = (a_fleet(n_devices, len(people["none"]), seed) for seed in range(n_runs))
        with patch.object(quality, "TRUTH_SHARE", share), patch.object(two_samples, "TRUTH_SHARE", share):
            delays = [planted(fleet, people["none"], people["noise, 10 dB"], 1 / 3) for fleet in fleets]
        found[f"{share:.0%} true"] = {"epsilon": epsilon} | _delays(delays)
    return found


def attack(signals: Sequence[Measured], *, n_devices: int, n_weeks: int) -> dict[str, Any]:
    """Who has last week's recordings of everybody, and this week's reports without names: whose is whose?

    Beside it the same with clipped counts of all histograms, as an ordinary report would carry them.
    """
    people = populations(signals)["none"]
    chance, source = np.random.default_rng(9), random.Random(9)
    n_devices = min(n_devices, len(people))
    names = chance.permutation(len(people))[:n_devices]
    hits_counts = hits_coin = guesses = 0
    n_right_class = 0
    for _ in range(n_weeks):
        before = [_counts(people[name], chance) for name in names]
        after = [_counts(people[name], chance) for name in names]
        for owner, counts in enumerate(after):
            distance = [_distance(counts, known) for known in before]
            hits_counts += int(np.argmin(distance)) == owner
            histogram = source.choice(tuple(counts))
            answer = draw_answer(counts[histogram], source)
            # The likeliest owner, by everybody's own shares and the coin; among equals any.
            odds = np.array([_chance_of(answer, known[histogram]) for known in before])
            likeliest = np.flatnonzero(odds == odds.max())
            hits_coin += int(chance.choice(likeliest)) == owner
            n_right_class += any(counts[histogram]) and answer == int(np.argmax(counts[histogram]))
            guesses += 1
    return {
        "devices": n_devices,
        "reports": guesses,
        "by_chance": 1 / n_devices,
        "named_by_clipped_counts": hits_counts / guesses,
        "named_by_one_class": hits_coin / guesses,
        "likeliest_class_is_said": n_right_class / guesses,
        "epsilon": quality.EPSILON,
    }


def _counts(pool: Pool, chance: np.random.Generator) -> dict[Histogram, list[int]]:
    """One week of a speaker: some of the clips, in clipped counts."""
    n, found = 1 + chance.poisson(RECORDINGS_A_WEEK - 1), {}
    for histogram in pool:
        classes = np.repeat(np.arange(N_BINS), pool[histogram])
        drawn = chance.choice(classes, n) if len(classes) else classes
        found[histogram] = [min(_CAP, int(count)) for count in np.bincount(drawn, minlength=N_BINS)]
    if "corrected" in pool:
        found["corrected"] = list(measure_week(found["outcome"])["corrected"])
    if "warned" in pool:
        found["warned"] = list(measure_warnings(found["alarm"])["warned"])
    return found


def _distance(one: Mapping[Histogram, list[int]], other: Mapping[Histogram, list[int]]) -> float:
    return sum(float(np.sum(np.square(np.array(one[name]) - np.array(other[name])))) for name in one)


def _chance_of(answer: int, counts: Sequence[int]) -> float:
    share = counts[answer] / sum(counts) if any(counts) else 1 / N_BINS
    return quality.TRUTH_SHARE * share + (1 - quality.TRUTH_SHARE) / N_BINS


def _week(place: int) -> str:
    return weeks_before(FIRST_WEEK, -place)


def table(report: Mapping[str, Any]) -> str:
    found = report["attack"]
    lines = [
        f"whose report it is, among {found['devices']} devices: by clipped counts "
        f"{found['named_by_clipped_counts']:.1%}, by one class {found['named_by_one_class']:.1%}, "
        f"by chance {found['by_chance']:.1%}",
    ]
    for n_devices, fleet in report.get("fleets", {}).items():
        lines.append(f"\n{n_devices} devices: {fleet['years_with_an_alarm']} of {fleet['stable_years']} stable years")
        for name, delays in fleet["drifts"].items():
            lines.append(
                f"  {name:42} {delays['found']} of {delays['of']}, after {delays['weeks_median']} weeks (median), "
                f"{delays['weeks_longest']} at most; {delays['first_seen_in']}"
            )
    for name, delays in report.get("coins", {}).items():
        lines.append(
            f"{name:10} epsilon {delays['epsilon']}: {delays['found']} of {delays['of']}, {delays['weeks_median']}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
