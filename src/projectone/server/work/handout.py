"""From a model folder to the Hub, into a package and into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from projectone.contracts.releases import DEFAULT_TIER, NotedRelease, ReleaseFile, ReleaseManifest, ReleaseUpdate
from projectone.contracts.rollouts import RolloutPlan
from projectone.errors import ConversionError, RegistryError, TransportError
from projectone.server.conversion.package import pack
from projectone.server.delivery.ledger import Ledger, Release
from projectone.server.delivery.publisher import Publisher
from projectone.server.pipeline.models import WEIGHTS, ModelFolders
from projectone.server.pipeline.ports import Deployment
from projectone.server.registry.aliases import AliasedModel, HubAliases, aliased, as_released, nominated, without
from projectone.server.registry.card import render_card
from projectone.server.registry.protocol import Registry
from projectone.server.runs import Guard
from projectone.server.work.model_facts import ModelFacts
from projectone.server.work.release_notes import notes_of
from projectone.server.work.short_ways import ShortWays
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import sweep_temporary


class Handout:
    """The steps of a deployment, each safe to repeat."""

    def __init__(
        self,
        *,
        models: ModelFolders,
        registry: Registry,
        packages: FileBlobs,
        ledger: Ledger,
        publisher: Publisher,
        repo_id: str,
        facts: ModelFacts,
        aliases: HubAliases,
        tell: Callable[[str], None],
        channel: str,
        short_ways: ShortWays | None,
        plan: Callable[[datetime], RolloutPlan | None] = lambda now: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._models = models
        self._registry = registry
        self._packages = packages
        self._ledger = ledger
        self._publisher = publisher
        self._repo_id = repo_id
        self._facts = facts
        self._aliases = aliases
        self._tell = tell
        self._channel = channel
        self._short_ways = short_ways
        self._plan = plan
        self._clock = clock

    def register(self, deployment: Deployment) -> dict[str, Any]:
        """One commit with its card, then the tag, then the name `candidate`.

        Raises:
            EvaluationError: if the model was not scored: its card would have nothing to say.
            TransportError: if the Hub could not be reached.
            RegistryError: if it refused.
        """
        facts = self._facts.of(deployment)
        published = self._registry.publish(
            self._models.find(deployment.weights_sha256),
            card=render_card(facts),
            run_id=deployment.run_id,
            version=deployment.version,
            lineage=facts.lineage_on_record(),
        )
        candidate = aliased(published)
        self._aliases.move(lambda table: nominated(table, candidate), f"{published.version} is a candidate")
        return {"repo_id": published.repo_id, "commit": published.commit, "tag": published.tag}

    def package(self, weights_sha256: str) -> dict[str, Any]:
        """The model as one file, proved to hold what the folder holds: the numbers that were judged.

        Raises:
            ConversionError: if it does not.
        """
        sweep_temporary(self._packages.folder)  # packages are made under the lease, one at a time
        folder = self._models.find(weights_sha256)
        package = pack(folder, self._packages)
        if not any(file.path == WEIGHTS and file.sha256 == weights_sha256 for file in package.files):
            raise ConversionError(f"package: expected the weights {weights_sha256}, which were judged")
        ways = self._short_ways
        updates = () if ways is None else ways.make(weights_sha256, below_bytes=package.size_bytes)
        return {
            "sha256": package.sha256,
            "size_bytes": package.size_bytes,
            "files": [file.model_dump(mode="json") for file in package.files],
            "updates": [update.model_dump(mode="json") for update in updates],
        }

    def release(
        self,
        deployment: Deployment,
        registered: Mapping[str, Any],
        package: Mapping[str, Any],
        *,
        guard: Guard,
        before_new: Guard | None = None,
    ) -> int:
        """The row, and then the signed list that devices act on; gives the number.

        `before_new` has the last word, in the row's transaction. Whoever is interrupted between the two is repeated, or
        the worker's next look finds that the list is behind the rows.
        """
        created_at = self._clock()
        newest = self._ledger.newest(self._channel)
        notes = notes_of(deployment, None if newest is None else newest.manifest)

        @cache  # one plan for all tiers, and none where the release is there already
        def plan() -> RolloutPlan | None:
            return None if deployment.is_minimum else self._plan(created_at)  # what is retired waits for nobody

        def draft(seq: int, package: Mapping[str, Any] = package, tier: str = DEFAULT_TIER) -> NotedRelease:
            return NotedRelease(
                channel=self._channel,
                tier=tier,
                seq=seq,
                min_seq=seq if deployment.is_minimum else 1,
                version=deployment.version,
                repo_id=registered["repo_id"],
                commit=registered["commit"],
                base_sha256=deployment.base_sha256,
                weights_sha256=deployment.weights_sha256,
                package_sha256=package["sha256"],
                package_size_bytes=package["size_bytes"],
                files=tuple(ReleaseFile.model_validate(file) for file in package["files"]),
                updates=tuple(ReleaseUpdate.model_validate(update) for update in package["updates"]),
                rollout=plan(),
                created_at=created_at,
                notes=notes,
            )

        release = self._ledger.publish(
            deployment.run_id,
            self._channel,
            draft,
            others=[partial(draft, package=other, tier=tier) for tier, other in package["tiers"].items()],
            guard=guard,
            before_new=before_new,
        )
        self.show()
        self._name(release)
        return release.manifest.seq

    def _name(self, release: Release) -> None:
        """Let the names on the Hub be what is released. A Hub that is away holds no release up."""
        models = released_models(self._ledger.releases(self._channel), self._repo_id)
        name_released(self._aliases, models, release.manifest.version, self._tell)

    def show(self) -> None:
        """List what the rows say is newest; nothing happens if it is listed."""
        self._publisher.publish(self._newest)

    def _newest(self) -> list[ReleaseManifest]:
        newest = self._ledger.newest(self._channel)
        return [] if newest is None else list(newest.tiers.values())

    def retract(self, run_id: str, version: str, packages: Iterable[Mapping[str, Any]]) -> list[str]:
        """Undo what was handed out of a model that must not be released after all; gives what a human should know.

        Args:
            run_id: Whose it was.
            version: What it would have been called.
            packages: What was packed, as `package` gave it.

        Raises:
            TransportError: if the Hub could not be reached.
            RegistryError: if it refused.
        """
        needed = {digest for release in self._ledger.releases() for digest in release.contents}
        for made in (part for package in packages for part in (package, *package["updates"])):
            if made["sha256"] not in needed:
                self._packages.delete(made["sha256"])
        commit = self._registry.retract(run_id=run_id, version=version)
        if commit is None:
            return []
        self._aliases.move(lambda table: without(table, commit), f"{version} is retracted")
        return [
            f"The Hub had taken the model: its tag is removed, commit {commit} of {self._repo_id} is yours to remove."
        ]


def released_models(releases: Iterable[Release], repo_id: str) -> list[AliasedModel]:
    """What of a repository is released, as names stand for it; oldest first."""
    manifests = [(release.run_id, release.manifest) for release in releases if release.manifest.repo_id == repo_id]
    return [AliasedModel(version=one.version, commit=one.commit, run_id=run_id) for run_id, one in manifests]


def name_released(aliases: HubAliases, models: list[AliasedModel], version: str, tell: Callable[[str], None]) -> None:
    """Let the names on the Hub be what is released, of which `version` is the newest; problems are told."""
    try:
        aliases.move(lambda table: as_released(table, models), f"{version} is released")
    except (RegistryError, TransportError) as error:
        tell(f"{error}; `projectone-server registry aliases --align` makes up for it")
