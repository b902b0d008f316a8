"""Joins the rooms of the trainer: corpus, training, evaluation, registry and delivery become the graph's ports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TextIO

from projectone.assist.memory import Swept
from projectone.contracts.scores import EvaluationReport
from projectone.contracts.signatures import SNAPSHOT
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.errors import DigestMismatchError, SettingsError
from projectone.server.approvals import Approvals
from projectone.server.corpus.caps import CapLimits
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.clusters import Clusters
from projectone.server.corpus.derived import Derived
from projectone.server.corpus.expiry import Expiry
from projectone.server.corpus.golden_seals import PARTS
from projectone.server.corpus.golden_set import GoldenSets
from projectone.server.corpus.labels import Labels
from projectone.server.corpus.recalls import Recalls
from projectone.server.corpus.review import Reviews
from projectone.server.corpus.sealing import seal_what_lies_open
from projectone.server.corpus.snapshots import Snapshots
from projectone.server.corpus.suspects import Suspects
from projectone.server.corpus.vault import Vault
from projectone.server.database import open_engine
from projectone.server.decisions import open_approvals
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.opening import open_ceremonies, open_publisher
from projectone.server.delivery.signing import load_signer
from projectone.server.devices.catalog import DeviceCatalog
from projectone.server.evaluation.gate import GateConfig
from projectone.server.evaluation.intents.checks import intent_gate
from projectone.server.evaluation.safety.checks import safety_gate
from projectone.server.home import open_keys, require_home
from projectone.server.leases import Leases
from projectone.server.memories.withdrawn import forget_withdrawn
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.notifications.outbox import Message, NotificationOutbox
from projectone.server.notifications.senders import open_senders
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import Production, Samples
from projectone.server.pipeline.runner import WorkPermit
from projectone.server.registry.aliases import HubAliases
from projectone.server.registry.hub import HubRegistry
from projectone.server.registry.provenance import open_provenance
from projectone.server.runs import Runs
from projectone.server.settings import ServerSettings
from projectone.server.training import TrainingConfig
from projectone.server.training.classifiers import ClassifierConfig
from projectone.server.voices.installed import HOW_TO_INSTALL, are_installed, check_installed
from projectone.server.work.copies import CopyFinder
from projectone.server.work.drift_watch import DriftWatch, open_drift_watch
from projectone.server.work.golden import SealedGolden, SealedTexts
from projectone.server.work.handout import Handout
from projectone.server.work.hosted_memory import sweep_memories
from projectone.server.work.intent_samples import IntentSamples, SameSentences, read_sentence
from projectone.server.work.intent_scores import IntentScores
from projectone.server.work.intent_teaching import IntentTeacher
from projectone.server.work.looking import Looker
from projectone.server.work.model_facts import open_facts
from projectone.server.work.package_store import open_packages
from projectone.server.work.progress import ProgressLine
from projectone.server.work.ray_engine import RayEngine
from projectone.server.work.references import resolve_model
from projectone.server.work.rollout_watch import RolloutWatch, new_plan, open_watch
from projectone.server.work.safety_scores import SafetyScores
from projectone.server.work.samples import RunSamples, read_samples
from projectone.server.work.scoring import Scores
from projectone.server.work.short_ways import ShortWays
from projectone.server.work.teaching import Teacher
from projectone.server.work.tiers import TierShop
from projectone.server.work.two_methods import METHODS, TwoMethods
from projectone.server.work.voice_groups import VoiceGroups
from projectone.storage.blobs import FileBlobs


class Workshop:
    """Everything that the worker's commands share, opened once."""

    def __init__(self, settings: ServerSettings, *, stream: TextIO | None = None) -> None:
        require_home(settings)
        self.settings = settings
        self._stream = stream = stream or sys.stderr  # looked up now, not when this file was read
        self._others: dict[Family, Workshop] = {}
        self.home = settings.home
        self.engine = open_engine(settings.database_url)
        upgrade_database(self.engine)
        self._keys = open_keys(settings, can_open=True)
        vault = Vault(self._keys)
        self.catalog = Catalog(self.engine, vault)
        self.reviews = Reviews(self.engine, vault)
        self.suspects = Suspects(self.engine, vault)
        self.devices = DeviceCatalog(self.engine)
        self.runs = Runs(self.engine)
        self.leases = Leases(self.engine)
        self.ledger = Ledger(self.engine, public_url=settings.public_url, above=settings.release_above)
        self.outbox = NotificationOutbox(self.engine)
        self.blobs = FileBlobs(settings.home / "blobs")
        seal_what_lies_open(self.catalog, self.blobs)
        self.models = ModelFolders(settings.home / "models")
        golden = None if settings.golden is None else Path(settings.golden)
        self.golden = GoldenSets(self.engine, self.catalog, settings.family)
        read = partial(read_samples, self.catalog, self.blobs)
        self.scores, self.canary = self._open_scores(golden, read)
        engine = None if settings.ray is None else RayEngine(settings.ray)
        read_bytes = partial(read_clip, self.catalog, self.blobs)
        self.looker = Looker(read_bytes, engine=engine, max_failed=settings.max_failed_looks)
        self.copies = self._open_copies()
        self.line = ProgressLine(stream)
        self.gate = _gate(settings)
        self.senders = open_senders(
            slack_webhook_url=settings.slack_webhook_url,
            smtp_url=settings.smtp_url,
            email_to=settings.email_to,
            log_path=settings.home / "logs" / "notifications.log",
            stream=stream,
        )
        signer = load_signer(settings.keys_folder / "release.key")
        self.snapshots = Snapshots(
            self.engine, self.catalog, self.blobs, sign=partial(signer.sign, SNAPSHOT), clock=lambda: datetime.now(UTC)
        )
        self.recalls = Recalls(
            self.engine, self.runs, releases=self.ledger.manifests, retrain=timedelta(days=settings.retrain_days)
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
        training = TrainingConfig(**settings.training)
        self.samples = self._open_samples(training)
        self.teacher = self._open_teacher(training)
        self.derived = Derived(self.home, self.catalog, self.runs, self.ledger.released_weights)
        self.expiry = Expiry(self.engine, settings.keep)
        self.caps = _caps(settings)
        self._base_sha256: str | None = None

    def _open_scores(self, golden: Path | None, read: Callable[[str], Samples]) -> tuple[Scores, Scores]:
        """By the golden set, and by the secret one."""
        reports, keys_folder = self.home / "evaluations", self.settings.keys_folder
        if self.settings.family != DEFAULT_FAMILY:
            sentence = partial(read_sentence, self.catalog, self.blobs)
            lent, secret = (SealedTexts(self.golden, part, sentence, keys_folder) for part in PARTS)
            kind = IntentScores
            if self.settings.family == "safety":  # the same weights and texts are another question there
                kind, reports = SafetyScores, reports / "safety"
            return (
                kind(reports, self.models, golden, lent),
                kind(reports, self.models, None, secret, is_secret=True),
            )
        main, canary = (SealedGolden(self.golden, part, read, keys_folder) for part in PARTS)
        return (
            Scores(reports, self.models, golden, main),
            Scores(reports, self.models, None, canary, is_secret=True),
        )

    def _open_copies(self) -> CopyFinder:
        scores, canary = self.scores, self.canary
        if isinstance(scores, IntentScores):
            # The secret texts too: they judge nothing if they are learned from.
            golden = (scores, canary)
            return SameSentences(
                lambda samples: self._intents.readable(samples),
                lambda: [text for one in golden if isinstance(one, IntentScores) for text in one.sentences()],
            )
        return CopyFinder(self.looker.hear, lambda: [*scores.recordings(), *canary.recordings()])

    def _open_samples(self, training: TrainingConfig) -> RunSamples:
        settings = self.settings
        known: dict[str, Any] = {
            "catalog": self.catalog,
            "blobs": self.blobs,
            "clusters": Clusters(self.engine),
            "golden": self.golden,
            "snapshots": self.snapshots,
            "copies": self.copies,
            "looker": self.looker,
            "training": training,
            "holds_personal": settings.hold_personal == "on",
            "holds_speakers": _holds_speakers(settings, self.line.say),
            "voices": _voice_groups(settings, partial(read_clip, self.catalog, self.blobs)),
            "family": settings.family,
        }
        if settings.family != DEFAULT_FAMILY:
            return IntentSamples(labels=Labels(self.engine).all, **known)
        return RunSamples(**known)

    @property
    def _intents(self) -> IntentSamples:
        assert isinstance(self.samples, IntentSamples), "asked for by the intents' own workshop alone"
        return self.samples

    def _open_teacher(self, training: TrainingConfig) -> Teacher | IntentTeacher | TwoMethods:
        settings = self.settings
        if isinstance(self.samples, IntentSamples):
            data = None if settings.intents_data is None else Path(settings.intents_data)
            return IntentTeacher(self.samples, self.models, ClassifierConfig(**settings.teaching), data)
        replay = None if settings.replay is None else Path(settings.replay)
        if settings.adapters == "off":
            return Teacher(self.samples, self.models, training, replay)
        adapters, full = (
            Teacher(self.samples, self.models, replace(training, method=method), replay) for method in METHODS
        )
        return TwoMethods(adapters=adapters, full=full, held_back=full.held_back, gate=self.gate)

    @cached_property
    def approvals(self) -> Approvals:
        """What people are asked and answer."""
        return open_approvals(self.engine, self.settings.channel)

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
            short_ways=self._short_ways() if settings.family == DEFAULT_FAMILY else None,
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
        return open_watch(self.settings, self.engine, self.ledger, self.publisher, self._tell)

    @cached_property
    def drift(self) -> DriftWatch:
        """Looks after models in use."""
        return open_drift_watch(self.settings, self.engine, self._tell)

    def sweep_memories(self, now: datetime) -> Swept | None:
        """Let go of memories of a product's people whose time is over; None where nobody keeps any."""
        forget_withdrawn(self.engine, self._keys.destroy, self.catalog.ended, now)
        return sweep_memories(self.settings, self.engine, self._keys, now)

    def _tell(self, message: Message) -> None:
        """Say something that waits for no run."""
        self.outbox.add(message, list(self.senders))
        self.outbox.flush(self.senders)

    def of_family(self, family: Family) -> Workshop:
        """The same server's workshop for another family of models; it is closed with this one."""
        if family not in self._others:
            self._others[family] = Workshop(self.settings.of_family(family), stream=self._stream)
        return self._others[family]

    def close(self) -> None:
        """Let go of the database and end the processes that look at clips."""
        for other in self._others.values():
            other.close()
        self.looker.close()
        self._keys.close()
        self.engine.dispose()

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

    def notify(self, message: Message, permit: WorkPermit) -> None:
        """Put a message into the outbox; it is sent after the run's commit."""
        self.outbox.add(message, list(self.senders), guard=permit.guard)


def _gate(settings: ServerSettings) -> GateConfig:
    gates: dict[Family, tuple[str, Callable[[], GateConfig]]] = {
        "speech": ("", GateConfig),
        "intents": ("INTENTS_", intent_gate),
        "safety": ("SAFETY_", safety_gate),
    }
    prefix, gate = gates[settings.family]
    try:
        return gate().without(*settings.gate_without)
    except ValueError as error:
        raise SettingsError(f"PROJECTONE_SERVER_{prefix}GATE_WITHOUT: {error}") from error


def _caps(settings: ServerSettings) -> CapLimits:
    return CapLimits(
        max_new=settings.max_new_per_contributor,
        max_new_stranger=min(settings.max_new_per_stranger, settings.max_new_per_contributor),
        stranger_share=settings.stranger_share,
        max_new_per_phrase=settings.max_new_per_phrase,
        few_people=settings.few_contributors,
    )


def _holds_speakers(settings: ServerSettings, tell: Callable[[str], None]) -> bool:
    """Whether a second voice in a clip is looked for.

    Raises:
        SettingsError: if it is asked for with weights that are not the ones they should be.
    """
    if settings.hold_speakers == "off" or settings.family != DEFAULT_FAMILY or not are_installed():
        return settings.hold_speakers == "on"
    try:
        check_installed()
    except DigestMismatchError as error:
        if settings.hold_speakers == "on":
            raise SettingsError(f"PROJECTONE_SERVER_HOLD_SPEAKERS: on, but {error}; {HOW_TO_INSTALL}") from error
        tell(f"warning: nobody looks for a second voice in clips: {error}; {HOW_TO_INSTALL}")
        return False
    return True


def _voice_groups(settings: ServerSettings, read: Callable[[str], bytes]) -> VoiceGroups | None:
    """Who compares voices, if anybody does.

    Raises:
        SettingsError: if it is asked for and cannot be done.
    """
    if settings.cap_voices == "off" or settings.family != DEFAULT_FAMILY:
        return None
    if not are_installed():
        raise SettingsError(
            f"PROJECTONE_SERVER_CAP_VOICES: on, but the networks of voices are not installed; {HOW_TO_INSTALL}"
        )
    try:
        check_installed()
    except DigestMismatchError as error:
        raise SettingsError(f"PROJECTONE_SERVER_CAP_VOICES: on, but {error}; {HOW_TO_INSTALL}") from error
    return VoiceGroups(read, max_failed=settings.max_failed_looks)
