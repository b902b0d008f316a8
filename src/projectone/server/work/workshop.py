"""Joins the rooms of the trainer: corpus, training, evaluation, registry and delivery become the graph's ports."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from threading import Event
from typing import Any, TextIO

from projectone.contracts.evidence import Recall
from projectone.contracts.scores import EvaluationReport
from projectone.errors import SettingsError, WithdrawnError
from projectone.server.approvals import Approvals
from projectone.server.corpus.caps import CapLimits
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.clusters import Clusters
from projectone.server.corpus.collapsed import Collapsed
from projectone.server.corpus.derived import Derived
from projectone.server.corpus.duplicates import Copy
from projectone.server.corpus.expiry import Expiry
from projectone.server.corpus.golden_set import PARTS, GoldenSets
from projectone.server.corpus.recalls import Recalls
from projectone.server.corpus.review import Reviews
from projectone.server.corpus.sealing import seal_what_lies_open
from projectone.server.corpus.snapshots import Snapshots
from projectone.server.corpus.suspects import Suspects
from projectone.server.corpus.vault import Vault
from projectone.server.database import Connection, open_engine
from projectone.server.decisions import open_approvals
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.opening import open_ceremonies, open_publisher
from projectone.server.delivery.signing import load_signer
from projectone.server.devices.catalog import DeviceCatalog
from projectone.server.evaluation.gate import GateConfig, judge
from projectone.server.evaluation.power import power_of
from projectone.server.evaluation.recall import measure_recall
from projectone.server.evaluation.triage import Triage, TriageConfig
from projectone.server.evaluation.triggers import Scan
from projectone.server.home import open_keys, require_home
from projectone.server.leases import Leases
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.notifications.outbox import Message, NotificationOutbox
from projectone.server.notifications.senders import open_senders
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import (
    DatasetEntry,
    Deployment,
    Ports,
    Production,
    Progress,
    SampleOutcome,
)
from projectone.server.pipeline.runner import Trainer, WorkPermit
from projectone.server.pipeline.state import DEPLOYMENT
from projectone.server.pipeline.tiers import effect_of
from projectone.server.registry.aliases import HubAliases
from projectone.server.registry.hub import HubRegistry
from projectone.server.registry.provenance import open_provenance
from projectone.server.runs import Effects, Runs
from projectone.server.settings import ServerSettings
from projectone.server.training import TrainingConfig
from projectone.server.work.copies import CopyFinder
from projectone.server.work.golden import SealedGolden
from projectone.server.work.handout import Handout
from projectone.server.work.listening import Listener
from projectone.server.work.looking import Looker
from projectone.server.work.model_facts import open_facts
from projectone.server.work.package_store import open_packages
from projectone.server.work.progress import ProgressLine
from projectone.server.work.ray_engine import RayEngine
from projectone.server.work.references import resolve_model
from projectone.server.work.rollout_watch import RolloutWatch, new_plan, open_watch
from projectone.server.work.samples import RunSamples, read_samples
from projectone.server.work.scoring import Scores
from projectone.server.work.short_ways import ShortWays
from projectone.server.work.teaching import Teacher
from projectone.server.work.tiers import TierShop
from projectone.speech.checkpoint import load_checkpoint
from projectone.storage.blobs import FileBlobs

# Setting `APPROVAL`: the verdicts on which a person is asked.
_ASKED: Mapping[str, Collection[str]] = {"never": (), "holds": ("hold",), "always": ("hold", "promote")}
# A row is a flush to the disk: nobody reads it faster than this.
_ROW_INTERVAL_S = 1.0


class Workshop:
    """Everything that the worker's commands share, opened once."""

    def __init__(self, settings: ServerSettings, *, stream: TextIO = sys.stderr) -> None:
        require_home(settings)
        self.settings = settings
        self.home = settings.home
        self._engine = open_engine(settings.database_url)
        upgrade_database(self._engine)
        self._keys = open_keys(settings, can_open=True)
        vault = Vault(self._keys)
        self.catalog = Catalog(self._engine, vault)
        self.reviews = Reviews(self._engine, vault)
        self.suspects = Suspects(self._engine, vault)
        self.devices = DeviceCatalog(self._engine)
        self.runs = Runs(self._engine)
        self.leases = Leases(self._engine)
        self.ledger = Ledger(self._engine, public_url=settings.public_url, above=settings.release_above)
        self.outbox = NotificationOutbox(self._engine)
        self.blobs = FileBlobs(settings.home / "blobs")
        seal_what_lies_open(self.catalog, self.blobs)
        self.models = ModelFolders(settings.home / "models")
        golden = None if settings.golden is None else Path(settings.golden)
        self.golden = GoldenSets(self._engine, self.catalog)
        read = partial(read_samples, self.catalog, self.blobs)
        main, canary = (SealedGolden(self.golden, part, read, settings.keys_folder) for part in PARTS)
        self.scores = Scores(settings.home / "evaluations", self.models, golden, main)
        self.canary = Scores(settings.home / "evaluations", self.models, None, canary, is_secret=True)
        self.copies = CopyFinder(read, lambda: [*self.scores.recordings(), *self.canary.recordings()])
        self.line = ProgressLine(stream)
        try:
            self.gate = GateConfig().without(*settings.gate_without)
        except ValueError as error:
            raise SettingsError(f"PROJECTONE_SERVER_GATE_WITHOUT: {error}") from error
        self.senders = open_senders(
            slack_webhook_url=settings.slack_webhook_url,
            smtp_url=settings.smtp_url,
            email_to=settings.email_to,
            log_path=settings.home / "logs" / "notifications.log",
            stream=stream,
        )
        signer = load_signer(settings.keys_folder / "release.key")
        self.snapshots = Snapshots(
            self._engine, self.catalog, self.blobs, sign=signer.sign_snapshot, clock=lambda: datetime.now(UTC)
        )
        self.recalls = Recalls(
            self._engine, self.runs, releases=self.ledger.manifests, retrain=timedelta(days=settings.retrain_days)
        )
        packages = open_packages(settings)
        self.tiers = TierShop(
            settings.tiers,
            models=self.models,
            packages=packages,
            scores=self.scores,
            ledger=self.ledger,
            channel=settings.channel,
            gate=self.gate,
        )
        open_ceremonies(settings.home, settings.keys_folder).begin()
        self.publisher = open_publisher(settings.home, settings.keys_folder, release_days=settings.release_days)
        engine = None if settings.ray is None else RayEngine(settings.ray)
        self.looker = Looker(partial(read_clip, self.catalog, self.blobs), engine=engine)
        training = TrainingConfig(**settings.training)
        self.samples = RunSamples(
            catalog=self.catalog,
            blobs=self.blobs,
            clusters=Clusters(self._engine),
            golden=self.golden,
            snapshots=self.snapshots,
            copies=self.copies,
            looker=self.looker,
            training=training,
            holds_personal=settings.hold_personal == "on",
            holds_speakers=settings.hold_speakers == "on",
        )
        replay = None if settings.replay is None else Path(settings.replay)
        self.teacher = Teacher(self.samples, self.models, training, replay)
        self.derived = Derived(self.home, self.catalog, self.runs, self.ledger.released_weights)
        self.expiry = Expiry(self._engine, settings.keep)
        self.caps = _caps(settings)
        self._base_sha256: str | None = None
        self._row_written_s = float("-inf")

    @cached_property
    def approvals(self) -> Approvals:
        """What people are asked and answer."""
        return open_approvals(self._engine, self.settings.channel)

    @cached_property
    def handout(self) -> Handout:
        """The steps of a deployment."""
        settings = self.settings
        return Handout(
            models=self.models,
            registry=HubRegistry(
                settings.hub_endpoint,
                settings.hub_token or None,
                settings.hub_repo,
                provenance=open_provenance(settings.keys_folder),
            ),
            packages=open_packages(settings),
            ledger=self.ledger,
            publisher=self.publisher,
            plan=partial(new_plan, settings),
            repo_id=settings.hub_repo,
            facts=open_facts(settings, self.ledger, self.catalog, self.blobs),
            aliases=HubAliases(settings.hub_endpoint, settings.hub_token or None, settings.hub_repo),
            tell=self.line.say,
            channel=settings.channel,
            short_ways=self._short_ways(),
        )

    def trainer(self, should_stop: Event, *, ports: Callable[[WorkPermit], Ports] | None = None) -> Trainer:
        """What runs training runs with these rooms; `ports` puts something else in their place."""
        return Trainer(
            home=self.home, runs=self.runs, leases=self.leases, ports=ports or self.ports, should_stop=should_stop
        )

    def _short_ways(self) -> ShortWays:
        return ShortWays(
            home=self.home,
            models=self.models,
            packages=open_packages(self.settings),
            ledger=self.ledger,
            channel=self.settings.channel,
            base=self.base,
            recalled=self.recalls.marked,
        )

    @cached_property
    def rollout(self) -> RolloutWatch:
        """Looks after the release that is on its way."""
        return open_watch(self.settings, self._engine, self.ledger, self.publisher, self._tell)

    def _tell(self, message: Message) -> None:
        """Say something that waits for no run."""
        self.outbox.add(message, list(self.senders))
        self.outbox.flush(self.senders)

    def close(self) -> None:
        """Let go of the database and end the processes that look at clips."""
        self.looker.close()
        self._keys.close()
        self._engine.dispose()

    def ports(self, permit: WorkPermit) -> Ports:
        """The outside of the graph, every write under the lease of `permit`."""
        effects = Effects(self._engine, guard=permit.guard)
        return Ports(
            home=self.home,
            check=permit.check,
            once=effects.once,
            find_effect=effects.find,
            enter=lambda run_id, node: self._enter(run_id, node, permit),
            record=lambda run_id, values: self.runs.change(run_id, guard=permit.guard, **values),
            progress=lambda run_id, progress: self._progress(run_id, progress, permit),
            waiting=self.samples.waiting,
            usable=self.samples.usable,
            read_clip=self.samples.read,
            look=self.samples.look,
            note=lambda findings, run_id: self.reviews.note(findings, run_id=run_id, guard=permit.guard),
            golden_clips=lambda: self.scores.clip_digests() | self.canary.clip_digests(),
            golden_speakers=lambda: self.scores.speakers() | self.canary.speakers(),
            near_golden=lambda samples: self.copies.near_golden(samples, permit.pause_point),
            copies=lambda samples: self.copies.copies(samples, permit.pause_point),
            mark_copies=lambda copies, run_id: self._mark_copies(copies, run_id, permit),
            mark=lambda ids, outcome, reason, run_id: self._mark(ids, outcome, reason, run_id, permit),
            seal=self.samples.seal,
            read_dataset=self.samples.read_dataset,
            base=self.base,
            train=self.teacher.train,
            score=lambda sha256: self.score(sha256, permit.pause_point),
            judge=partial(judge, config=self.gate),
            canary=lambda sha256: self._score_canary(sha256, permit.pause_point),
            asks_person=lambda decision: decision in _ASKED[self.settings.approval],
            ask=lambda question: self.approvals.ask(
                question, lifetime=timedelta(days=self.settings.approval_days), guard=permit.guard
            ),
            find_answer=self.approvals.find,
            production=self.production,
            register=self.handout.register,
            package=self.handout.package,
            release=lambda deployment, registered, package: self._release(deployment, registered, package, permit),
            notify=lambda message: self.notify(message, permit),
            is_withdrawn=self.catalog.is_withdrawn,
            retract=lambda run_id: self._retract(run_id, effects),
            start_anew=self._start_anew,
            is_replacing=lambda run_id: self.runs.get(run_id).trigger == "withdrawal",
            triage=(lambda new: self._triage(new, permit)) if self.settings.triage == "on" else None,
            scan=partial(self._scan, permit=permit) if self.settings.trigger_scan == "on" else None,
            recall=self._recall,
            caps=self.caps,
            tiers=self.tiers.ports(lambda tier, done, n_clips: self._show_tier(tier, done, n_clips, permit)),
        )

    def base(self) -> str:
        """Digest of the fixed base; a copy lies in the model store, so that it cannot change underneath a run."""
        if self._base_sha256 is None:
            self._base_sha256 = self.models.keep_copy(resolve_model(self.settings.base, self.settings))
        return self._base_sha256

    def production(self) -> Production:
        """What devices get now; before the first release the base."""
        newest = self.ledger.newest(self.settings.channel)
        if newest is None:
            return Production(weights_sha256=self.base(), version=None)
        return Production(weights_sha256=newest.manifest.weights_sha256, version=newest.manifest.version)

    def score(self, weights_sha256: str, pause_point: Callable[[], None] = lambda: None) -> EvaluationReport:
        """A model over the golden set."""

        def on_progress(n_done: int, n_clips: int) -> None:
            what = f"scoring {weights_sha256[:12]} on the golden set: {n_done} of {n_clips}"
            self.line.show(what, is_last=n_done == n_clips)
            pause_point()

        return self.scores.score(weights_sha256, on_progress)

    def _show_tier(self, tier: str, n_done: int, n_clips: int, permit: WorkPermit) -> None:
        self.line.show(f"scoring the tier {tier}: {n_done} of {n_clips}", is_last=n_done == n_clips)
        permit.pause_point()

    def _score_canary(self, weights_sha256: str, pause_point: Callable[[], None]) -> EvaluationReport | None:
        if not self.canary.has_set:
            return None
        report = self.canary.score(weights_sha256, lambda n_done, n_clips: pause_point())
        self.line.say(f"canary: {report.wer.value:.1%} of words wrong on the secret set, which decides nothing")
        return report

    def notify(self, message: Message, permit: WorkPermit) -> None:
        """Put a message into the outbox; it is sent after the run's commit."""
        self.outbox.add(message, list(self.senders), guard=permit.guard)

    def _enter(self, run_id: str, node: str, permit: WorkPermit) -> None:
        self.line.say(f"run {run_id}: {node}")
        self.runs.enter(run_id, node, guard=permit.guard)

    def _progress(self, run_id: str, progress: Progress, permit: WorkPermit) -> None:
        permit.pause_point()
        self.line.show(f"run {run_id}: {progress.message}")
        now_s = time.monotonic()
        if now_s - self._row_written_s >= _ROW_INTERVAL_S or progress.step == progress.total:
            self._row_written_s = now_s
            values = {f"progress_{name}": value for name, value in vars(progress).items()}
            self.runs.change(run_id, guard=permit.guard, **values)
            dataset_sha256 = self.runs.get(run_id).dataset_sha256
            if dataset_sha256 is not None and self.catalog.is_withdrawn(dataset_sha256):
                raise WithdrawnError("a sample was withdrawn while the run trained on it")

    def _mark(
        self, sample_ids: Sequence[str], outcome: SampleOutcome, reason: str | None, run_id: str, permit: WorkPermit
    ) -> None:
        self.catalog.mark(sample_ids, outcome, reason=reason, run_id=run_id, guard=permit.guard)

    def _mark_copies(self, copies: Mapping[str, Copy], run_id: str, permit: WorkPermit) -> None:
        if copies:
            Collapsed(self._engine).mark(copies, run_id=run_id, guard=permit.guard)

    def _release(
        self, deployment: Deployment, registered: Mapping[str, Any], package: Mapping[str, Any], permit: WorkPermit
    ) -> int:
        def refuse_withdrawn(connection: Connection) -> None:
            if deployment.dataset_sha256 is not None:
                self.catalog.refuse_withdrawn(connection, deployment.dataset_sha256)

        return self.handout.release(deployment, registered, package, guard=permit.guard, before_new=refuse_withdrawn)

    def _retract(self, run_id: str, effects: Effects) -> list[str]:
        decided, whole = (effects.find(run_id, DEPLOYMENT, name) for name in ("version", "package"))
        if decided is None:
            return []
        made = [effects.find(run_id, DEPLOYMENT, effect_of(tier)) for tier in self.settings.tiers]
        packages = [whole, *(None if tier is None else tier["package"] for tier in made)]
        return self.handout.retract(run_id, decided["version"], [package for package in packages if package])

    def _start_anew(self, run_id: str) -> None:
        self.runs.request(self.runs.get(run_id).trigger)

    def _scan(
        self,
        entries: Sequence[DatasetEntry],
        production: EvaluationReport,
        candidate: EvaluationReport,
        *,
        permit: WorkPermit,
    ) -> Scan:
        models = self.models.find(production.model_sha256), self.models.find(candidate.model_sha256)
        listener = Listener(self.samples, TriageConfig(**self.settings.triage_limits), self.line, permit.pause_point)
        return listener.scan(entries, models, self.scores.golden(), (production, candidate))

    def _recall(self, texts: Sequence[str], production: EvaluationReport, candidate: EvaluationReport) -> Recall:
        before, after = (load_checkpoint(self.models.find(one.model_sha256)) for one in (production, candidate))
        found = measure_recall(before, after, texts)
        self.line.say(f"recall: {found.n_told} of {found.n_texts} new texts are told without a voice")
        return found

    def _triage(self, new: Sequence[DatasetEntry], permit: WorkPermit) -> Triage:
        production = self.production().weights_sha256
        # Without a golden set there is no gate to pass: the evaluation says so, as it always did.
        power = power_of(self.score(production, permit.pause_point)) if self.scores.has_set else None
        listener = Listener(self.samples, TriageConfig(**self.settings.triage_limits), self.line, permit.pause_point)
        triage = listener.weigh(new, self.models.find(production), power)
        figures = listener.agreement(new, self.models.find(self.base()))
        self.reviews.add_measures(figures, guard=permit.guard)
        return triage


def _caps(settings: ServerSettings) -> CapLimits:
    return CapLimits(
        max_new=settings.max_new_per_contributor,
        max_new_stranger=min(settings.max_new_per_stranger, settings.max_new_per_contributor),
        stranger_share=settings.stranger_share,
        max_new_per_phrase=settings.max_new_per_phrase,
        few_people=settings.few_contributors,
    )
