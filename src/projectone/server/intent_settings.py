"""How the classifier of intents is taught and judged: settings of its family alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from projectone.server.setting_values import names, number, setting


@dataclass(frozen=True, kw_only=True)
class IntentSettings:
    """The part of the settings that stands in the place of speech's where intents are meant."""

    intents_data: str | None = setting(
        "INTENTS_DATA",
        "JSON lines (`text`, `label`, perhaps `split`) that the classifier of intents is taught from, in every run "
        "again; people's corrected intents come beside them. Lines of the split `dev` are measured on",
        default=None,
        shown="none: no classifier is trained",
    )
    intents_golden: str | None = setting(
        "INTENTS_GOLDEN",
        "JSON lines (`text`, `label`, perhaps `slice`) that classifiers of intents are judged on; a text of `null` has "
        "none of them",
        default=None,
    )
    intents_encoder: str = setting(
        "INTENTS_ENCODER",
        "Encoder that every classifier of intents starts from: `minilm`, or the folder of a BERT",
        default="minilm",
    )
    intents_repo: str = setting(
        "INTENTS_REPO", "Repository for the classifiers of intents, `owner/name`", default="projectone/intents"
    )
    intents_gate_without: tuple[str, ...] = setting(
        "INTENTS_GATE_WITHOUT",
        "Checks that the gate leaves out of a classifier's judgement, by their names in docs/gate.md with commas "
        "between them",
        names,
        default=(),
        shown="none",
    )
    teaching_max_epochs: int | None = setting(
        "INTENTS_EPOCHS",
        "Passes over the texts, at most; the best is kept",
        number(int, 0, 100),
        default=None,
        shown="4",
    )
    teaching_learning_rate: float | None = setting(
        "INTENTS_LEARNING_RATE",
        "Highest learning rate of the encoder",
        number(float, 1e-9, 1.0),
        default=None,
        shown="0.0002",
    )
    teaching_direction_rate: float | None = setting(
        "INTENTS_DIRECTION_RATE",
        "Highest learning rate of the directions of the labels",
        number(float, 1e-9, 1.0),
        default=None,
        shown="0.001",
    )

    teaching_noised_share: float | None = setting(
        "INTENTS_NOISED_SHARE",
        "Share of the texts of an epoch that are shown with errors as a recogniser makes them",
        number(float, 0, 1),
        default=None,
        shown="0.5",
    )

    @property
    def teaching(self) -> dict[str, Any]:
        """The settings of teaching that were given, by the names of `ClassifierConfig`; it knows the defaults."""
        found = {
            field.name.removeprefix("teaching_"): getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name.startswith("teaching_")
        }
        return {name: value for name, value in found.items() if value is not None}
