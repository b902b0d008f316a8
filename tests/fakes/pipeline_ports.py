"""The outside of the pipeline in memory: samples, datasets, effects, a registry, a ledger, a mailbox."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from tests.fakes import tiny_trainer

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.contracts.scores import EvaluationReport
from projectone.errors import ConsentError, DataError
from projectone.server.corpus.caps import CapLimits
from projectone.server.corpus.duplicates import Copy
from projectone.server.corpus.validation import Findings
from projectone.server.evaluation.golden import sound_key, to_pcm16
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import (
    DatasetEntry,
    Deployment,
    Look,
    PipelineSample,
    Ports,
    Production,
    Samples,
)
from projectone.server.work.copies import CopyFinder
from projectone.waveform.fingerprint import Fingerprint, fingerprint_of

START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class World:
    """What the pipeline touches, open for a test to look at and to break."""

    home: Path
    samples: dict[str, PipelineSample] = field(default_factory=dict)
    clips: dict[str, Samples] = field(default_factory=dict)
    marks: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    datasets: dict[str, list[DatasetEntry]] = field(default_factory=dict)
    golden: frozenset[str] = frozenset()
    golden_recordings: list[Samples] = field(default_factory=list)
    judges: frozenset[str] = frozenset()
    originals: dict[str, str] = field(default_factory=dict)
    effects: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)
    row: dict[str, object] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    registered: list[Deployment] = field(default_factory=list)
    released: list[Deployment] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)
    started_anew: list[str] = field(default_factory=list)
    production: Production | None = None
    wer: Callable[[str], float] = lambda sha256: 0.3
    cap: int = 100
    doubts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        base = self.home / "base"
        base.mkdir(parents=True)
        (base / "model.safetensors").write_bytes(b"base")
        self.base_sha256 = ModelFolders(self.home / "models").keep_copy(base)
        self.finder = CopyFinder(self._hear, lambda: self.golden_recordings)
        self.wer = lambda sha256: 0.5 if sha256 == self.base_sha256 else 0.3

    def add(
        self,
        name: str,
        *,
        text: str = "red",
        contributor: str = "ada",
        is_new: bool = True,
        clip: Samples | None = None,
    ) -> PipelineSample:
        if clip is None:
            clip = np.random.default_rng(len(self.samples)).uniform(-0.5, 0.5, 16_000).astype(np.float32)
        clip_sha256 = hashlib.sha256(clip.tobytes()).hexdigest()
        self.clips[clip_sha256] = clip
        sample = PipelineSample(
            sample_id=name,
            contributor_id=contributor,
            clip_sha256=clip_sha256,
            recording_sha256=clip_sha256,
            text=text,
            duration_s=1.0,
            recorded_at=START + timedelta(minutes=len(self.samples)),
            is_new=is_new,
        )
        self.samples[name] = sample
        return sample

    def add_again(self, name: str, of: str, *, text: str) -> PipelineSample:
        """A later correction of the same recording, a minute younger than all others."""
        moment = START + timedelta(minutes=len(self.samples))
        self.samples[name] = replace(self.samples[of], sample_id=name, text=text, recorded_at=moment, is_new=True)
        return self.samples[name]

    def usable(self) -> list[PipelineSample]:
        kept = []
        for sample in self.samples.values():
            mark = self.marks.get(sample.sample_id, ("", None))[0]
            if sample.sample_id not in self.withdrawn and mark in ("", "used"):
                kept.append(replace(sample, is_new=False) if mark == "used" else sample)
        return kept

    def withdraw(self, name: str) -> None:
        """Erase a sample and every dataset that names it, as the corpus does."""
        self.withdrawn.add(name)
        self.clips.pop(self.samples[name].clip_sha256, None)
        for sha256, entries in list(self.datasets.items()):
            if any(entry.sample_id == name for entry in entries):
                del self.datasets[sha256]

    def ports(self, **changes: Any) -> Ports:
        ports = Ports(
            home=self.home,
            check=lambda: None,
            once=self._once,
            find_effect=self._find_effect,
            enter=lambda run_id, node: self.nodes.append(node),
            record=lambda run_id, values: self.row.update(values),
            progress=lambda run_id, progress: None,
            waiting=lambda: [sample for sample in self.usable() if sample.is_new],
            usable=self.usable,
            read_clip=self._read_clip,
            look=lambda samples: [self.look(sample) for sample in samples],
            note=self._note,
            golden_clips=lambda: self.golden,
            golden_speakers=lambda: self.judges,
            near_golden=self.finder.near_golden,
            copies=self.finder.copies,
            mark=self._mark,
            mark_copies=self._mark_copies,
            seal=self._seal,
            read_dataset=self._read_dataset,
            base=lambda: self.base_sha256,
            train=tiny_trainer.train,
            score=self._score,
            judge=tiny_trainer.judge,
            production=lambda: self.production or Production(weights_sha256=self.base_sha256, version=None),
            register=self._register,
            package=lambda weights_sha256: {"sha256": sha256_hex(weights_sha256.encode())},
            release=self._release,
            notify=lambda message: self.messages.setdefault(message.key, message) and None,
            is_withdrawn=lambda sha256: sha256 not in self.datasets,
            retract=self._retract,
            start_anew=self.started_anew.append,
            caps=CapLimits(max_new=self.cap),
        )
        return replace(ports, **changes)

    def look(self, sample: PipelineSample) -> Look:
        """As the worker looks, at clips that are arrays."""
        try:
            samples = self._read_clip(sample.clip_sha256)
        except DataError as error:
            return Look(Findings(error.reason))
        reason = None if np.abs(samples).max() > 0.01 else "silence"
        return Look(Findings(reason, self.doubts.get(sample.sample_id, ())), sound_key(to_pcm16(samples)))

    def _note(self, findings: Mapping[str, Findings], run_id: str) -> int:
        self.marks |= {sample_id: ("held", found.hold[0]) for sample_id, found in findings.items() if found.hold}
        return sum(outcome == "held" for outcome, _ in self.marks.values())

    def _once(self, run_id: str, node: str, name: str, inputs: object, act: Callable[[], dict[str, Any]]) -> Any:
        key = (run_id, node, name, sha256_hex(canonical_json(inputs)))
        if key not in self.effects:
            self.effects[key] = json.loads(json.dumps(act()))
        return self.effects[key]

    def _find_effect(self, run_id: str, node: str, name: str) -> dict[str, Any] | None:
        found = [result for key, result in self.effects.items() if key[:3] == (run_id, node, name)]
        return found[-1] if found else None

    def _hear(self, sha256s: Iterable[str]) -> Iterator[Fingerprint | None]:
        return (fingerprint_of(self.clips[sha256]) if sha256 in self.clips else None for sha256 in sha256s)

    def _read_clip(self, sha256: str) -> Samples:
        if sha256 not in self.clips:
            raise DataError("clip-missing", "gone")
        return self.clips[sha256]

    def _mark(self, sample_ids: Sequence[str], outcome: str, reason: str | None, run_id: str) -> None:
        for sample_id in sample_ids:
            self.marks[sample_id] = (outcome, reason)

    def _mark_copies(self, copies: Mapping[str, Copy], run_id: str) -> None:
        for sample_id, copy in copies.items():
            self.marks[sample_id] = ("discarded", copy.reason)
            self.originals[sample_id] = copy.original

    def _seal(self, entries: Sequence[DatasetEntry]) -> str:
        sha256 = sha256_hex(canonical_json([vars(entry) for entry in entries]))
        self.datasets[sha256] = list(entries)
        return sha256

    def _read_dataset(self, sha256: str) -> list[DatasetEntry]:
        if sha256 not in self.datasets:
            raise ConsentError("withdrawn")
        return self.datasets[sha256]

    def _score(self, weights_sha256: str) -> EvaluationReport:
        return tiny_trainer.score_by(self.wer)(weights_sha256)

    def _register(self, deployment: Deployment) -> dict[str, Any]:
        self.registered.append(deployment)
        return {"repo_id": "acme/whisper", "commit": "0" * 40, "tag": f"v{deployment.version}"}

    def _retract(self, run_id: str) -> list[str]:
        taken = [item for item in self.registered if item.run_id == run_id]
        self.registered = [item for item in self.registered if item.run_id != run_id]
        return [f"The Hub had version {item.version}." for item in taken]

    def _release(self, deployment: Deployment, registered: Mapping[str, Any], package: Mapping[str, Any]) -> int:
        if deployment not in self.released:
            self.released.append(deployment)
        self.production = Production(weights_sha256=deployment.weights_sha256, version=deployment.version)
        return len(self.released)
