"""`projectone-server golden`: who may judge models: candidates, reviews, sealed versions, and a secret second set."""

from __future__ import annotations

import argparse
import getpass
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from projectone.contracts.assist import label_of
from projectone.contracts.corrections import FAMILIES_OF_SAMPLES
from projectone.contracts.signatures import SNAPSHOT
from projectone.contracts.texts import printable
from projectone.contracts.versions import DEFAULT_FAMILY
from projectone.errors import DataError
from projectone.server.corpus.clips import read_clip, read_sentence
from projectone.server.corpus.datasets import speaker_of
from projectone.server.corpus.golden_seals import PARTS, Part
from projectone.server.corpus.golden_set import GoldenSets, GoldenVersion
from projectone.server.corpus.history import Histories
from projectone.server.corpus.statistics import MIN_PEOPLE
from projectone.server.corpus.tables import ListedSample, SampleRow
from projectone.server.database import Engine, open_engine
from projectone.server.delivery.signing import ReleaseSigner, load_signer, new_key
from projectone.server.evaluation.golden import NO_SLICE, GoldenClip, Samples
from projectone.server.evaluation.intents.golden_texts import GoldenText
from projectone.server.home import open_catalog, require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import write_atomically
from projectone.waveform.quality import Quality, measure_quality
from projectone.waveform.wav import parse_wav

SUMMARY = (
    "The golden set of people who agreed to it. Samples become candidates under the consent `evaluation`, an operator "
    "accepts them, a version is sealed under its own key. Nothing of a person in it is trained on. The part `canary` "
    "is secret: its error rate is shown beside that of the main part and decides nothing."
)
EXAMPLES = """\
  projectone-server golden candidates                     samples that may judge models, waiting for a review
  projectone-server golden accept 7d0c1f9e-...            into the main part; --part canary for the secret one
  projectone-server golden refuse 7d0c1f9e-...
  projectone-server golden seal                           a new version; runs judge by it from now on
  projectone-server golden show                           versions, and their slices
  projectone-server golden candidates --family intents    the same for sentences on which classifiers are judged"""

GOLDEN_KEY = "golden.key"
PEOPLE = "people"
"""The slice of sentences that people lent."""
_SHORT_S, _LONG_S = 3.0, 8.0
_NOISY_DB = 20.0  # between loud and quiet frames: below it the pauses are nearly as loud as a quiet voice


class SealedSamples:
    """The samples of the newest version of one part.

    Args:
        sets: The golden sets.
        part: Which.
        keys_folder: Where the golden set's key lies.
    """

    def __init__(self, sets: GoldenSets, part: Part, keys_folder: Path) -> None:
        self._sets = sets
        self._part = part
        self._keys_folder = keys_folder

    def names(self) -> tuple[str, ...]:
        """The ids of the samples that are still there."""
        return tuple(str(sample.sample_id) for sample in self._samples())

    def rows(self) -> list[SampleRow]:
        """The same with their words."""
        return self._sets.rows(self._samples())

    def _samples(self) -> tuple[ListedSample, ...]:
        if not (self._keys_folder / GOLDEN_KEY).is_file():  # nothing was ever sealed
            return ()
        newest = self._sets.newest(self._part, golden_signer(self._keys_folder).trusted)
        return () if newest is None else newest.samples


class SealedGolden(SealedSamples):
    """Golden recordings, for `Scores`. `read_clip`: a clip's digest to 16 kHz mono samples."""

    def __init__(self, sets: GoldenSets, part: Part, read_clip: Callable[[str], Samples], keys_folder: Path) -> None:
        super().__init__(sets, part, keys_folder)
        self._read_clip = read_clip

    def clips(self) -> Sequence[GoldenClip]:
        """The clips, read now."""
        return [
            GoldenClip(
                clip_id=str(row.sample_id),
                speaker=speaker_of(row.contributor_id),
                slice=row.accent or NO_SLICE,
                samples=self._read_clip(row.clip_sha256),
                text=row.text,
            )
            for row in self.rows()
        ]


class SealedTexts(SealedSamples):
    """Golden sentences, for scores of classifiers. `read`: a payload's digest to the sentence."""

    def __init__(self, sets: GoldenSets, part: Part, read: Callable[[str], str], keys_folder: Path) -> None:
        super().__init__(sets, part, keys_folder)
        self._read = read

    def texts(self) -> list[GoldenText]:
        """The sentences, read now."""
        return [
            GoldenText(
                text_id=str(row.sample_id),
                speaker=speaker_of(row.contributor_id),
                slice=PEOPLE,
                text=self._read(row.clip_sha256),
                label=label_of(row.text),
            )
            for row in self.rows()
        ]


def golden_signer(keys_folder: Path) -> ReleaseSigner:
    """Signs with the golden set's own key, made at the first use."""
    path = keys_folder / GOLDEN_KEY
    if not path.exists():
        write_atomically(path, new_key())
        path.chmod(0o600)
    return load_signer(path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("candidates", help="samples that wait for a review, oldest first")
    accepting = actions.add_parser("accept", help="take samples into the set; their people are not trained on any more")
    refusing = actions.add_parser("refuse", help="say that samples shall judge nothing")
    sealing = actions.add_parser("seal", help="seal a version of what was accepted")
    showing = actions.add_parser("show", help="the newest versions, and what is in them")
    for action in (accepting, refusing):
        action.add_argument("samples", nargs="+", metavar="ID", help="ids of samples, or their beginnings")
        action.add_argument("--by", metavar="NAME", help="who decides (default: the user of this terminal)")
    for action in (accepting, sealing):
        action.add_argument("--part", choices=PARTS, default="main", help="default main")
    for action in (listing, accepting, refusing, sealing, showing):
        action.add_argument(
            "--family", choices=FAMILIES_OF_SAMPLES, default=DEFAULT_FAMILY, help="of the models that are judged"
        )
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """List, decide, seal or show."""
    require_home(settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        facts, text = _act(arguments, settings, engine)
    finally:
        engine.dispose()
    print(json.dumps(facts) if arguments.json else text)
    return 0


def _act(arguments: argparse.Namespace, settings: ServerSettings, engine: Engine) -> tuple[dict[str, Any], str]:
    sets = GoldenSets(engine, open_catalog(settings, engine), arguments.family)
    blobs, now = FileBlobs(settings.home / "blobs"), datetime.now(UTC)
    if arguments.action == "candidates":
        found = [_plain(row, sets, blobs) for row in sets.candidates()]
        lines = [printable(_candidate(facts)) for facts in found]
        return {"candidates": found}, "\n".join(lines) or "no candidate: nobody who agreed to `evaluation` waits"
    if arguments.action == "accept":
        wanted = _named(arguments.samples, sets, engine)
        n = sets.accept(wanted, arguments.part, by=arguments.by or getpass.getuser(), now=now)
        return {"accepted": n, "part": arguments.part}, f"{n} accepted into {arguments.part}; now seal it"
    if arguments.action == "refuse":
        wanted = _named(arguments.samples, sets, engine)
        n = sets.refuse(wanted, by=arguments.by or getpass.getuser(), now=now)
        if n < len(wanted):
            raise DataError("golden-candidate", f"{len(wanted) - n} of the samples are no candidates")
        return {"refused": n}, f"{n} refused"
    signer = golden_signer(settings.keys_folder)
    if arguments.action == "seal":
        version, manifest = sets.seal(arguments.part, partial(signer.sign, SNAPSHOT), now=now)
        what = "sentences" if arguments.family == "intents" else "clips"
        told = f"version {version} of {arguments.part}: {manifest.n_dev} {what} of {manifest.n_speakers} people"
        return {"version": version, "part": arguments.part, "n_clips": manifest.n_dev}, told
    newest = {part: sets.newest(part, signer.trusted) for part in PARTS}

    def measure(row: SampleRow) -> Quality:
        return measure_quality(parse_wav(read_clip(sets.catalog, blobs, row.clip_sha256)).samples[:, 0])

    facts: dict[str, Any] = {part: _facts(version) for part, version in newest.items() if version is not None}
    if newest["main"] is not None:  # of the secret part nothing but its size is told
        rows = sets.rows(newest["main"].samples)
        facts["main"]["slices"] = _labels(rows) if arguments.family == "intents" else _slices(rows, measure)
    return facts, "\n".join(map(_describe, facts.values())) or "no version was sealed yet"


def _named(beginnings: Sequence[str], sets: GoldenSets, engine: Engine) -> list[UUID]:
    histories = Histories(engine, sets.catalog.vault)
    return list(dict.fromkeys(histories.tell(beginning).sample.sample_id for beginning in beginnings))


def slices_of(row: SampleRow, quality: Quality) -> dict[str, str]:
    """The groups that a clip is in, by kind. A device is not one of them: nothing of it lies beside the sound."""
    length = "short" if row.duration_s < _SHORT_S else "long" if row.duration_s > _LONG_S else "medium"
    was_misheard = row.heard is not None and row.heard.casefold().split() != row.text.casefold().split()
    return {
        "accent": row.accent or NO_SLICE,
        "length": length,
        "noise": "noisy" if quality.spread_db < _NOISY_DB else "quiet",
        "vocabulary": "misheard" if was_misheard else "read or heard right",
    }


def _facts(version: GoldenVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "part": version.part,
        "sealed_at": version.sealed_at.isoformat(),
        "n_clips": len(version.samples),
        "n_sealed": version.n_sealed,
        "n_people": len({sample.contributor_id for sample in version.samples}),
    }


def _slices(rows: Sequence[SampleRow], measure: Callable[[SampleRow], Quality]) -> dict[str, dict[str, int]]:
    """Clips by slice; slices of fewer than `MIN_PEOPLE` people are left out."""
    found: dict[str, dict[str, list[SampleRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for kind, name in slices_of(row, measure(row)).items():
            found[kind][name].append(row)
    return _counted(found)


def _labels(rows: Sequence[SampleRow]) -> dict[str, dict[str, int]]:
    """Sentences by label; labels of fewer than `MIN_PEOPLE` people are left out."""
    found: dict[str, list[SampleRow]] = defaultdict(list)
    for row in rows:
        found[row.text].append(row)
    return _counted({"label": found})


def _counted(found: Mapping[str, Mapping[str, Sequence[SampleRow]]]) -> dict[str, dict[str, int]]:
    return {
        kind: {
            name: len(own)
            for name, own in sorted(groups.items())
            if len({row.contributor_id for row in own}) >= MIN_PEOPLE
        }
        for kind, groups in found.items()
    }


def _describe(facts: Mapping[str, Any]) -> str:
    gone = facts["n_sealed"] - facts["n_clips"]
    lines = [
        f"{facts['part']:7} version {facts['version']} of {facts['sealed_at'][:16]}: {facts['n_clips']} clips of "
        f"{facts['n_people']} people" + (f"; {gone} were withdrawn, seal a new one" if gone else "")
    ]
    for kind, groups in facts.get("slices", {}).items():
        told = ", ".join(f"{name} {n}" for name, n in groups.items()) or f"no group of {MIN_PEOPLE} people"
        lines.append(f"  {kind:10}  {told}")
    return "\n".join(lines)


def _candidate(facts: Mapping[str, Any]) -> str:
    if facts["sentence"] is not None:
        return f"{facts['sample_id']}  {facts['text']:24}  {facts['sentence']}"
    return f"{facts['sample_id']}  {facts['duration_s']:5.1f} s  {facts['accent'] or '':12}  {facts['text']}"


def _plain(row: SampleRow, sets: GoldenSets, blobs: FileBlobs) -> dict[str, Any]:
    return {
        "sentence": read_sentence(sets.catalog, blobs, row.clip_sha256) if row.kind == "intent" else None,
        "sample_id": str(row.sample_id),
        "contributor_id": row.contributor_id,
        "text": row.text,
        "accent": row.accent,
        "duration_s": round(row.duration_s, 3),
        "received_at": row.received_at.isoformat(),
    }
