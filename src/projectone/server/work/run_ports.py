"""The rooms of a workshop as a training run sees them: every write under the lease of the run's permit."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from projectone.contracts.evidence import Recall
from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.errors import WithdrawnError
from projectone.server.corpus.collapsed import Collapsed
from projectone.server.corpus.duplicates import Copy
from projectone.server.corpus.labels import Labels
from projectone.server.database import Connection
from projectone.server.evaluation.gate import judge
from projectone.server.evaluation.intents.golden_texts import read_lessons
from projectone.server.evaluation.power import power_of
from projectone.server.evaluation.triage import INTENT_LESSONS, Triage, TriageConfig
from projectone.server.evaluation.triggers import Scan
from projectone.server.pipeline.ports import DatasetEntry, Deployment, Ports, Progress, SampleOutcome, Samples
from projectone.server.pipeline.runner import Trainer, WorkPermit
from projectone.server.pipeline.state import DEPLOYMENT
from projectone.server.pipeline.tiers import effect_of
from projectone.server.runs import Effects
from projectone.server.settings import ServerSettings
from projectone.server.work.intent_samples import IntentSamples
from projectone.server.work.intent_scores import IntentScores
from projectone.server.work.listening import Listener
from projectone.server.work.reading import Reader
from projectone.server.work.recall import ask_for_lessons
from projectone.server.work.safety_verdicts import judge_safety
from projectone.server.work.workshop import Workshop
from projectone.speech.checkpoint import load_checkpoint

# Setting `APPROVAL`: the verdicts on which a person is asked.
_ASKED: Mapping[str, Collection[str]] = {"never": (), "holds": ("hold",), "always": ("hold", "promote")}
# A row is a flush to the disk: nobody reads it faster than this.
_ROW_INTERVAL_S = 1.0


def is_asked(decision: str, settings: ServerSettings) -> bool:
    """Whether a person decides about a model with this verdict."""
    return decision in _ASKED[settings.approval]


def open_trainer(shop: Workshop, should_stop: Event, *, ports: Callable[[WorkPermit], Ports] | None = None) -> Trainer:
    """What runs training runs in a workshop; `ports` puts something else in the place of its rooms."""
    return Trainer(
        home=shop.home,
        runs=shop.runs,
        leases=shop.leases,
        ports=ports or partial(open_ports, shop),
        should_stop=should_stop,
    )


def open_ports(shop: Workshop, permit: WorkPermit) -> Ports:
    """The outside of the graph."""
    return _RunPorts(shop, permit).ports()


class _RunPorts:
    """A workshop and the permit to write in it."""

    def __init__(self, shop: Workshop, permit: WorkPermit) -> None:
        self._shop = shop
        self._permit = permit
        self._effects = Effects(shop.engine, guard=permit.guard)
        self._row_written_s = float("-inf")

    def ports(self) -> Ports:
        shop, permit = self._shop, self._permit
        settings = shop.settings
        return Ports(
            home=shop.home,
            check=permit.check,
            once=self._effects.once,
            find_effect=self._effects.find,
            enter=self._enter,
            record=lambda run_id, values: shop.runs.change(run_id, guard=permit.guard, **values),
            progress=self._progress,
            waiting=shop.samples.waiting,
            usable=shop.samples.usable,
            read_clip=shop.samples.read,
            look=shop.samples.look,
            note=lambda findings, run_id: shop.reviews.note(findings, run_id=run_id, guard=permit.guard),
            golden_clips=lambda: shop.scores.clip_digests() | shop.canary.clip_digests(),
            golden_speakers=lambda: shop.scores.speakers() | shop.canary.speakers(),
            near_golden=lambda samples: shop.copies.near_golden(samples, permit.pause_point),
            copies=lambda samples: shop.copies.copies(samples, permit.pause_point),
            mark_copies=self._mark_copies,
            mark=self._mark,
            seal=shop.samples.seal,
            read_dataset=shop.samples.read_dataset,
            base=shop.base,
            train=shop.teacher.train,
            score=lambda sha256: shop.score(sha256, permit.pause_point),
            judge=self._judge,
            canary=self._score_canary,
            asks_person=lambda decision: is_asked(decision, settings),
            ask=lambda question: shop.approvals.ask(
                question, lifetime=timedelta(days=settings.approval_days), guard=permit.guard
            ),
            find_answer=shop.approvals.find,
            production=shop.production,
            register=shop.handout.register,
            package=shop.handout.package,
            release=self._release,
            notify=lambda message: shop.notify(message, permit),
            is_withdrawn=shop.catalog.is_withdrawn,
            retract=self._retract,
            start_anew=self._start_anew,
            is_replacing=lambda run_id: shop.runs.get(run_id).trigger == "withdrawal",
            triage=self._triage if settings.triage == "on" else None,
            scan=self._scan if settings.trigger_scan == "on" else None,
            recall=self._recall if settings.family == "speech" else None,
            caps=shop.caps,
            cap=shop.samples.cap,
            rate=shop.gate.wording.rate,
            tiers=shop.tiers.ports(self._show_tier),
        )

    def _enter(self, run_id: str, node: str) -> None:
        self._shop.line.say(f"run {run_id}: {node}")
        self._shop.runs.enter(run_id, node, guard=self._permit.guard)

    def _progress(self, run_id: str, progress: Progress) -> None:
        shop = self._shop
        self._permit.pause_point()
        shop.line.show(f"run {run_id}: {progress.message}")
        now_s = time.monotonic()
        if now_s - self._row_written_s >= _ROW_INTERVAL_S or progress.step == progress.total:
            self._row_written_s = now_s
            values = {f"progress_{name}": value for name, value in vars(progress).items()}
            shop.runs.change(run_id, guard=self._permit.guard, **values)
            dataset_sha256 = shop.runs.get(run_id).dataset_sha256
            if dataset_sha256 is not None and shop.catalog.is_withdrawn(dataset_sha256):
                raise WithdrawnError("a sample was withdrawn while the run trained on it")

    def _mark(self, sample_ids: Sequence[str], outcome: SampleOutcome, reason: str | None, run_id: str) -> None:
        self._shop.catalog.mark(sample_ids, outcome, reason=reason, run_id=run_id, guard=self._permit.guard)

    def _mark_copies(self, copies: Mapping[str, Copy], run_id: str) -> None:
        if copies:
            Collapsed(self._shop.engine).mark(copies, run_id=run_id, guard=self._permit.guard)

    def _show_tier(self, tier: str, n_done: int, n_clips: int) -> None:
        self._shop.line.show(f"scoring the tier {tier}: {n_done} of {n_clips}", is_last=n_done == n_clips)
        self._permit.pause_point()

    def _judge(self, production: EvaluationReport, candidate: EvaluationReport) -> Verdict:
        if self._shop.settings.family == "safety":
            return judge_safety(self._shop, production, candidate, self._permit.pause_point)
        return judge(production, candidate, self._shop.gate)

    def _score_canary(self, weights_sha256: str) -> EvaluationReport | None:
        shop = self._shop
        if not shop.canary.has_set:
            return None
        report = shop.canary.score(weights_sha256, lambda n_done, n_clips: self._permit.pause_point())
        shop.line.say(
            f"canary: {shop.gate.wording.rate} {report.wer.value:.1%} on the secret set, which decides nothing"
        )
        return report

    def _release(self, deployment: Deployment, registered: Mapping[str, Any], package: Mapping[str, Any]) -> int:
        def refuse_withdrawn(connection: Connection) -> None:
            if deployment.dataset_sha256 is not None:
                self._shop.catalog.refuse_withdrawn(connection, deployment.dataset_sha256)

        seq = self._shop.handout.release(
            deployment, registered, package, guard=self._permit.guard, before_new=refuse_withdrawn
        )
        found = None if deployment.report is None else deployment.report.classifier
        if self._shop.settings.family == "intents" and found is not None:
            # Whoever has this classifier may correct with its labels; repeated, nothing changes.
            Labels(self._shop.engine).change(add=found.labels, now=datetime.now(UTC))
        return seq

    def _retract(self, run_id: str) -> list[str]:
        decided, whole = (self._effects.find(run_id, DEPLOYMENT, name) for name in ("version", "package"))
        if decided is None:
            return []
        made = [self._effects.find(run_id, DEPLOYMENT, effect_of(tier)) for tier in self._shop.settings.tiers]
        packages = [whole, *(None if tier is None else tier["package"] for tier in made)]
        return self._shop.handout.retract(run_id, decided["version"], [package for package in packages if package])

    def _start_anew(self, run_id: str) -> None:
        run = self._shop.runs.get(run_id)
        self._shop.runs.request(run.trigger, run.family)

    def _scan(self, entries: Sequence[DatasetEntry], production: EvaluationReport, candidate: EvaluationReport) -> Scan:
        shop = self._shop
        models = shop.models.find(production.model_sha256), shop.models.find(candidate.model_sha256)
        if isinstance(shop.scores, IntentScores):
            taught = [] if shop.settings.intents_data is None else read_lessons(Path(shop.settings.intents_data))[0]
            return self._reader().scan(entries, models, shop.scores.texts().texts, [text for text, _ in taught])
        return self._listener().scan(entries, models, shop.scores.golden(), (production, candidate))

    def _recall(self, new: Sequence[DatasetEntry], production: EvaluationReport, candidate: EvaluationReport) -> Recall:
        shop = self._shop
        before, after = (load_checkpoint(shop.models.find(one.model_sha256)) for one in (production, candidate))
        found = ask_for_lessons(before, after, new, shop.scores.golden(), self._read)
        shop.line.say(f"recall: {found.n_told} of {found.n_texts} new texts are told without a voice")
        return found

    def _read(self, clip_sha256: str) -> Samples:
        self._permit.pause_point()
        return self._shop.samples.read(clip_sha256)

    def _triage(self, new: Sequence[DatasetEntry]) -> Triage:
        shop = self._shop
        production = shop.production().weights_sha256
        # Without a golden set there is no gate to pass: the evaluation says so, as it always did.
        power = power_of(shop.score(production, self._permit.pause_point)) if shop.scores.has_set else None
        if isinstance(shop.samples, IntentSamples):
            return self._reader().weigh(new, shop.models.find(production), power)
        listener = self._listener()
        triage = listener.weigh(new, shop.models.find(production), power)
        figures = listener.agreement(new, shop.models.find(shop.base()))
        shop.reviews.add_measures(figures, guard=self._permit.guard)
        return triage

    def _listener(self) -> Listener:
        shop = self._shop
        limits = TriageConfig(**shop.settings.triage_limits)
        return Listener(shop.samples, limits, shop.line, self._permit.pause_point)

    def _reader(self) -> Reader:
        shop = self._shop
        assert isinstance(shop.samples, IntentSamples), "asked for by the intents' own workshop alone"
        limits = TriageConfig(**shop.settings.triage_limits, words=INTENT_LESSONS)
        return Reader(shop.samples, limits, shop.line, self._permit.pause_point)
