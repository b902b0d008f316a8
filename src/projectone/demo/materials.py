"""The demo's recordings as sound: what each person says into a device, what judges models, what poisons them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from projectone.demo.plan import GoldenSource, PersonPlan, Plan
from projectone.errors import DataError
from projectone.server.corpus.manifests import ManifestRow
from projectone.server.evaluation.golden import NO_SLICE
from projectone.storage.files import write_atomically
from projectone.waveform.wav import encode_wav

Decode = Callable[[Path], npt.NDArray[np.float32]]
"""A file to one channel at 16 kHz; raises DataError."""


@dataclass(frozen=True)
class Spoken:
    """One recording before it reaches a device: 16 kHz mono WAV, and what is really said in it."""

    clip_id: str
    speaker: str
    slice: str
    text: str
    wav: bytes
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class Person:
    """One user: what they record and correct, and what never leaves their device."""

    name: str
    accent: str | None
    has_consented: bool
    to_correct: tuple[Spoken, ...]
    kept_back: tuple[Spoken, ...]


@dataclass(frozen=True, kw_only=True)
class Materials:
    """Everything that is said in the demo."""

    people: tuple[Person, ...]
    golden: tuple[Spoken, ...]
    golden_source: GoldenSource
    spare: tuple[Spoken, ...]
    n_unreadable: int


class _Reader:
    """Decodes rows; counts those that cannot be read or hold a recording that was taken already."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._seen: set[bytes] = set()
        self.n_unreadable = 0

    def read(self, rows: Iterable[ManifestRow], *, most_s: float = math.inf) -> tuple[Spoken, ...]:
        """What is in the rows' files, the first of them up to `most_s` seconds; at least one."""
        found: list[Spoken] = []
        for row in rows:
            spoken = self._spoken(row)
            if spoken is None:
                continue
            most_s -= spoken.duration_s
            if found and most_s < 0:
                break
            found.append(spoken)
        return tuple(found)

    def _spoken(self, row: ManifestRow) -> Spoken | None:
        try:
            samples = self._decode(row.audio)
        except DataError:
            self.n_unreadable += 1
            return None
        wav = encode_wav(samples)
        # The same sound twice in a corpus would end on two sides of a split.
        if wav in self._seen:
            return None
        self._seen.add(wav)
        return Spoken(row.clip_id, row.speaker, row.accent or NO_SLICE, row.text, wav, len(samples) / 16_000)


def load_materials(
    plan: Plan,
    decode: Decode,
    *,
    n_spare: int,
    most_s: float = math.inf,
    on_progress: Callable[[str], None] = lambda what: None,
) -> Materials:
    """Decode what the plan chose.

    Args:
        plan: Who records what.
        decode: A file to one channel at 16 kHz.
        n_spare: How many of the spare recordings are wanted.
        most_s: Seconds of the golden set, and of what all users correct or keep back. The plan has seen to that,
            unless the manifest does not know how long its recordings are.
        on_progress: Told whose recordings are read.

    Raises:
        DataError: ``corpus-unreadable`` if a user or the golden set ends up without a recording.
    """
    reader = _Reader(decode)
    on_progress("the golden set")
    golden = reader.read(plan.golden, most_s=most_s)
    people = tuple(_person(person, reader, most_s / len(plan.people), on_progress) for person in plan.people)
    on_progress("spare recordings")
    spare = reader.read(plan.spare[:n_spare])
    if not golden or not all(person.to_correct and person.kept_back for person in people):
        raise DataError("corpus-unreadable", f"corpus: {reader.n_unreadable} chosen recordings cannot be decoded")
    return Materials(
        people=people,
        golden=golden,
        golden_source=plan.golden_source,
        spare=spare,
        n_unreadable=reader.n_unreadable,
    )


def _person(plan: PersonPlan, reader: _Reader, most_s: float, on_progress: Callable[[str], None]) -> Person:
    on_progress(plan.name)
    return Person(
        name=plan.name,
        accent=plan.accent,
        has_consented=plan.has_consented,
        kept_back=reader.read(plan.kept_back, most_s=most_s),
        to_correct=reader.read(plan.to_correct, most_s=most_s),
    )


def write_golden(clips: Iterable[Spoken], folder: Path) -> Path:
    """A manifest with its clips, as an operator would keep a golden set; gives the manifest's path."""
    folder.mkdir(parents=True)
    rows: list[dict[str, str]] = []
    for number, clip in enumerate(clips):
        audio = f"{number:04}.wav"
        (folder / audio).write_bytes(clip.wav)
        row = {"audio": audio, "clip_id": clip.clip_id, "text": clip.text, "speaker": clip.speaker}
        rows.append(row if clip.slice == NO_SLICE else {**row, "accent": clip.slice})
    manifest = folder / "manifest.jsonl"
    write_atomically(manifest, "".join(json.dumps(row) + "\n" for row in rows).encode())
    return manifest
