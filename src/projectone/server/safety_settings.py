"""How safety classifiers are judged and where they are kept: settings of their family alone."""

from __future__ import annotations

from dataclasses import dataclass

from projectone.server.setting_values import names, setting


@dataclass(frozen=True, kw_only=True)
class SafetySettings:
    """The part of the settings that stands in the place of speech's where safety classifiers are meant."""

    safety_golden: str | None = setting(
        "SAFETY_GOLDEN",
        "JSON lines (`text`, `label`, perhaps `slice`) that safety classifiers are judged on: texts with the label "
        "that is warned of, and others. None may be taught from them",
        default=None,
        shown="none: no safety classifier is released",
    )
    safety_repo: str = setting(
        "SAFETY_REPO", "Repository for safety classifiers, `owner/name`", default="projectone/safety"
    )
    safety_gate_without: tuple[str, ...] = setting(
        "SAFETY_GATE_WITHOUT",
        "Checks that the gate leaves out of a safety classifier's judgement, by their names in docs/gate.md with "
        "commas between them",
        names,
        default=(),
        shown="none",
    )
