"""What is to be said of a model that goes out: gathered where it is known, for its card and its manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from projectone.contracts.releases import family_of
from projectone.contracts.versions import DEFAULT_FAMILY
from projectone.errors import ConsentError, DataError, EvaluationError
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.datasets import read_dataset
from projectone.server.corpus.statistics import MIN_PEOPLE, Statistics, describe
from projectone.server.delivery.ledger import Ledger
from projectone.server.pipeline.models import find_adapter
from projectone.server.pipeline.ports import Deployment
from projectone.server.registry.card import CardFacts
from projectone.server.registry.lineage import Setting
from projectone.server.registry.provenance import fingerprint, open_provenance
from projectone.server.settings import ServerSettings
from projectone.server.training import TrainingConfig
from projectone.server.training.classifiers import ClassifierConfig
from projectone.server.training.environment import environment
from projectone.storage.blobs import FileBlobs


class ModelFacts:
    """Knows what the rooms of the worker know.

    Args:
        repo_id: Where models are published.
        base_name: The fixed base, as the operator calls it.
        channel: Whose releases came before.
        ledger: These releases.
        training: How models are trained here.
        statistics: The figures of a sealed dataset.
        key_sha256: Fingerprint of the key that signs models.
        has_adapter: Whether a model was made by adapters, where each run tries both ways; None where settings say.
    """

    def __init__(
        self,
        *,
        repo_id: str,
        base_name: str,
        channel: str,
        ledger: Ledger,
        training: TrainingConfig | ClassifierConfig,
        statistics: Callable[[str], Statistics],
        key_sha256: str | None,
        has_adapter: Callable[[str], bool] | None = None,
    ) -> None:
        self._repo_id = repo_id
        self._base_name = base_name
        self._channel = channel
        self._ledger = ledger
        self._training = training
        self._statistics = statistics
        self._key_sha256 = key_sha256
        self._has_adapter = has_adapter

    def of(self, deployment: Deployment) -> CardFacts:
        """The facts about one model.

        Raises:
            EvaluationError: if it was not scored: its card would have nothing to say.
            ConsentError: if what it learned from was erased.
        """
        if deployment.report is None:
            raise EvaluationError(f"model {deployment.weights_sha256}: expected its scores for the model card")
        return CardFacts(
            repo_id=self._repo_id,
            version=deployment.version,
            run_id=deployment.run_id,
            report=deployment.report,
            base_name=self._base_name,
            base_sha256=deployment.base_sha256,
            dataset_sha256=deployment.dataset_sha256,
            n_samples=deployment.n_clips,
            n_new_samples=deployment.n_new_clips,
            training_audio_s=deployment.audio_s,
            production=deployment.production_report,
            verdict=deployment.verdict,
            lineage=tuple(release.manifest.version for release in self._ledger.releases(self._channel)),
            key_sha256=self._key_sha256,
            family=family_of(self._channel),
            **({} if deployment.dataset_sha256 is None else self._of_training(deployment.dataset_sha256, deployment)),
        )

    def _of_training(self, dataset_sha256: str, deployment: Deployment) -> dict[str, Any]:
        statistics = self._statistics(dataset_sha256)
        settings = dict(_flat(dataclasses.asdict(self._training)))
        if self._has_adapter is not None:  # of two methods the one that was chosen
            settings["method"] = "lora" if self._has_adapter(deployment.weights_sha256) else "full"
        return {
            "n_people": statistics.n_people if statistics.n_people >= MIN_PEOPLE else None,
            "consent_scopes": statistics.scopes,
            "code": environment(self._training.engine if isinstance(self._training, TrainingConfig) else "mlx"),
            "settings": settings,
            "seed": settings.get("seed"),
        }


def open_facts(settings: ServerSettings, ledger: Ledger, catalog: Catalog, blobs: FileBlobs) -> ModelFacts:
    """The facts as a server's settings and rows have them."""
    provenance = open_provenance(settings.keys_folder)
    return ModelFacts(
        repo_id=settings.hub_repo,
        base_name=settings.base,
        channel=settings.channel,
        ledger=ledger,
        training=training_of(settings),
        statistics=partial(statistics_of, catalog, blobs),
        key_sha256=None if provenance is None else fingerprint(provenance.public_key),
        has_adapter=(
            None
            if settings.adapters == "off" or settings.family != DEFAULT_FAMILY
            else lambda weights_sha256: find_adapter(settings.home, weights_sha256) is not None
        ),
    )


def training_of(settings: ServerSettings) -> TrainingConfig | ClassifierConfig:
    """How models of the family that these settings are about are trained."""
    if settings.family != DEFAULT_FAMILY:
        return ClassifierConfig(**settings.teaching)
    return TrainingConfig(**settings.training)


def statistics_of(catalog: Catalog, blobs: FileBlobs, dataset_sha256: str) -> Statistics:
    """The figures of a sealed dataset.

    Raises:
        ConsentError: once a withdrawal has erased it.
    """
    rows = {str(row.sample_id): row for row in catalog.living()}
    try:
        items = read_dataset(catalog, blobs, dataset_sha256)
    except DataError as error:
        raise ConsentError(str(error)) from error
    return describe([item for item in items if item.sample_id in rows], rows)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """Nested settings under names with dots; whatever is no plain value as text."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, str | int | float | bool):
            yield f"{prefix}{name}", value
        else:
            yield f"{prefix}{name}", str(value)
