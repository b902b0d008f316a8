"""Two people in one clip, and one person with many accounts: what is found of speakers that nothing was fitted to.

Speakers of AN4, speechocean762 and VCTK are halved by their names. Of one half the table of `waveform/speakers.py` is
made (`--fit` prints it) and the limits are read; of the other half come the single clips and the mixes: two people who
take turns, one who says a second in between, two at once. Both voices of a mix are of one corpus, so that no microphone
gives them away. With the weights of `server/voices` installed, what the networks find is shown too, and with
`--accounts` which accounts are taken for one voice.

    python benchmarks/speakers.py [--data DIR] [--fit | --accounts] [--mixes 200] [--each 6]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt

from projectone.contracts.base import sha256_hex
from projectone.server.corpus.manifests import read_manifest
from projectone.server.voices.embedding import VoiceEncoder
from projectone.server.voices.installed import HOW_TO_INSTALL, Networks, open_networks
from projectone.server.voices.same_voice import CLIPS, NEAR, one_voice, voice_of
from projectone.server.work.clips import open_decoder
from projectone.waveform import voice
from projectone.waveform.speakers import N_FIGURES, NOTHING_TO_COMPARE, compare_halves
from projectone.waveform.voice import measure_voice

ROOT = Path(__file__).resolve().parents[1]
CORPORA = ("an4", "speechocean762", "vctk_bits")
OF_EACH, SHORTEST_S, RATE_HZ = 6, 1.2, 16_000
SHARES = (0.01, 0.02, 0.03, 0.05, 0.1)
FRAMES = 24  # compared at a time where one voice is measured
N_DIRECTIONS = 8

Samples = npt.NDArray[np.float32]
Figures = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """A clip, and who says it."""

    corpus: str
    speaker: str
    samples: Samples


def read_speakers(data: Path, *, only: int | None = None, n_each: int | None = None) -> tuple[list[Said], list[Said]]:
    """Clips of the speakers to learn from, and of the others; a few of each person, and only one half if asked."""
    halves: tuple[list[Said], list[Said]] = ([], [])
    with open_decoder() as decode:
        for corpus in CORPORA:
            rows = sorted(read_manifest(data / corpus), key=lambda row: sha256_hex(row.clip_id.encode()))
            count: defaultdict[str, int] = defaultdict(int)
            for row in rows:
                side = int(sha256_hex(row.speaker.encode()), 16) % 2
                if count[row.speaker] < (n_each or OF_EACH) and side == (side if only is None else only):
                    samples = decode(row.audio)
                    if samples.size >= SHORTEST_S * RATE_HZ:
                        count[row.speaker] += 1
                        halves[side].append(Said(corpus, row.speaker, samples))
    return halves


def fit(clips: Sequence[Said]) -> tuple[Figures, Figures]:
    """Directions in which people differ more than what one says does, and how far: the table."""
    figures = [figures_of_voice(clip.samples) for clip in clips]
    apart = [
        own[at : at + FRAMES].mean(axis=0) - own[at + FRAMES : at + 2 * FRAMES].mean(axis=0)
        for own in figures
        for at in range(0, len(own) - 2 * FRAMES + 1, FRAMES)
    ]
    one = np.cov(np.array(apart).T, bias=True) * FRAMES / 2 + 1e-3 * np.eye(N_FIGURES)
    people: defaultdict[tuple[str, str], list[Figures]] = defaultdict(list)
    for clip, own in zip(clips, figures, strict=True):
        if len(own) >= 2 * FRAMES:
            people[clip.corpus, clip.speaker].append(own)
    two, n_people = np.zeros_like(one), 0
    for corpus in CORPORA:
        members = [np.concatenate(own) for (name, _), own in people.items() if name == corpus]
        if len(members) > 3:
            means = np.array([own.mean(axis=0) for own in members])
            chance = one * float(np.mean([1 / len(own) for own in members]))
            two, n_people = two + len(members) * (np.cov(means.T) - chance), n_people + len(members)
    root = np.linalg.cholesky(np.linalg.inv(one))
    spreads, directions = np.linalg.eigh(root.T @ (two / n_people) @ root)
    return (root @ directions)[:, -N_DIRECTIONS:], np.maximum(spreads, 0.0)[-N_DIRECTIONS:]


def mix(one: Said, other: Said, kind: str, random: np.random.Generator) -> Samples:
    """Both voices in one clip, the second up to 6 dB quieter."""
    a, b = one.samples, other.samples
    b = b * (loud(a) / loud(b) * 10 ** (random.uniform(-6, 0) / 20))
    if kind == "at once":
        mixed = np.zeros(max(a.size, b.size), np.float32)
        mixed[: a.size] += a
        mixed[: b.size] += b
    else:
        pause = np.zeros(round(random.uniform(0, 0.4) * RATE_HZ), np.float32)
        mixed = np.concatenate([a, pause, b if kind == "in turns" else b[:RATE_HZ]])
    return (mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32)


def loud(samples: Samples) -> float:
    """Root of the mean power of the louder third."""
    return float(np.sqrt(np.mean(np.sort(samples**2)[-samples.size // 3 :])))


def mixes(clips: Sequence[Said], n: int, kind: str, *, seed: int) -> list[Samples]:
    """Clips of two people each, of one corpus."""
    random = np.random.default_rng(seed)
    made: list[Samples] = []
    while len(made) < n:
        one, other = (clips[int(place)] for place in random.integers(len(clips), size=2))
        if one.corpus == other.corpus and one.speaker != other.speaker:
            made.append(mix(one, other, kind, random))
    return made


def figures_of_voice(samples: Samples) -> Figures:
    """What `measure_voice` compares."""
    seen: list[Figures] = []

    def keep(figures: npt.NDArray[np.float32]) -> float:
        seen.append(figures.astype(np.float64))
        return 0.0

    with mock.patch.object(voice, "change_of_speaker", keep):
        measure_voice(samples - samples.mean())
    return seen[0]


def nats_of(samples: Samples) -> float:
    """As ingestion measures it."""
    change = measure_voice(samples - samples.mean()).speaker_change
    return NOTHING_TO_COMPARE if change is None else change


def show_networks(networks: Networks, single: Sequence[Said], mixed: dict[str, list[Samples]]) -> None:
    """What the networks find in the same clips, by how large the figure of a clip is; a person listens from 1 on."""
    began = time.process_time()
    alone = np.array([networks.second_voice(clip.samples) for clip in single])
    spent_s = time.process_time() - began
    found = {kind: np.array([networks.second_voice(clip) for clip in clips]) for kind, clips in mixed.items()}
    print(
        "| figure of the networks | of single clips | " + " | ".join(found) + " |\n" + "|---" * (2 + len(found)) + "|"
    )
    for limit in (0.9, 1.0, 1.1, 1.25):
        shares = [np.mean(alone >= limit), *(np.mean(figures >= limit) for figures in found.values())]
        print(f"| {limit:.2f} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |")
    cost_ms = 1e4 * spent_s / (sum(clip.samples.size for clip in single) / RATE_HZ)
    print(json.dumps({"name": "second_voice", "cpu_ms_for_10_s": round(cost_ms, 1)}))


def show_accounts(encoder: VoiceEncoder, clips: Sequence[Said], data: Path) -> None:
    """Which accounts are one voice: of people who have one account each, and fifty of one person."""
    people: defaultdict[str, list[Samples]] = defaultdict(list)
    for clip in clips:
        people[f"{clip.corpus} {clip.speaker}"].append(clip.samples)
    with open_decoder() as decode:
        one = [decode(row.audio) for row in read_manifest(data / "kathleen_arctic")[: 50 * CLIPS]]
    print(
        "| clips of each account | accounts of one person | its groups | people | their groups |\n" + "|---" * 5 + "|"
    )
    for n in (1, 3, CLIPS):
        sybils = {f"account {at}": voice_of(one[at * n : (at + 1) * n], encoder) for at in range(50)}
        honest = {person: voice_of(own[:n], encoder) for person, own in people.items()}
        known, others = ({k: v for k, v in of.items() if v is not None} for of in (sybils, honest))
        sizes, other_sizes = (sorted(map(len, one_voice(of, near=NEAR)), reverse=True) for of in (known, others))
        print(f"| {n} | {len(known)} | {sizes[:6]} | {len(others)} | {other_sizes[:8]} |")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder with an4 and others")
    parser.add_argument("--fit", action="store_true", help="make the table anew and print it")
    parser.add_argument("--accounts", action="store_true", help="show which accounts are taken for one voice, no more")
    parser.add_argument("--mixes", type=int, default=200, help="of each kind (default 200)")
    parser.add_argument("--each", type=int, default=6, help="clips of each person (default 6)")
    arguments = parser.parse_args(argv)
    networks = open_networks()
    learned, others = read_speakers(arguments.data, n_each=arguments.each)
    if arguments.accounts:
        if networks is None:
            raise SystemExit(f"--accounts: expected the networks of voices; {HOW_TO_INSTALL}")
        show_accounts(networks.encoder, [*learned, *others], arguments.data)
        return
    if arguments.fit:
        directions, spreads = fit(learned)
        single = [compare_halves((figures_of_voice(c.samples) @ directions), spreads) for c in learned]
        limits = {share: round(float(np.quantile(single, 1 - share)), 2) for share in SHARES}
        print(json.dumps({"directions": directions.round(4).tolist(), "spreads": spreads.round(4).tolist()}))
        print(f"limits by the same half: {limits}")
        return
    single = [nats_of(clip.samples) for clip in others]
    limits = {share: float(np.quantile([nats_of(clip.samples) for clip in learned], 1 - share)) for share in SHARES}
    mixed = {kind: mixes(others, arguments.mixes, kind, seed=1) for kind in ("in turns", "a second of it", "at once")}
    found = {kind: np.array([nats_of(clip) for clip in clips]) for kind, clips in mixed.items()}
    print(f"{len(others)} single clips of {len({clip.speaker for clip in others})} speakers")
    print("| limit, nats | of single clips | " + " | ".join(found) + " |\n" + "|---" * (2 + len(found)) + "|")
    for limit in limits.values():
        shares = [np.mean(np.array(single) > limit), *(np.mean(nats > limit) for nats in found.values())]
        print(f"| {limit:.1f} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |")
    silent = sum(nats == NOTHING_TO_COMPARE for nats in single)
    print(json.dumps({"name": "speakers", "single": len(single), "too_short": silent}))
    if networks is not None:
        show_networks(networks, others, mixed)


if __name__ == "__main__":
    main()
