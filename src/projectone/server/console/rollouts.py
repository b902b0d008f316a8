"""The page of the release on its way: who has it, how it does there and elsewhere, and the buttons.

To hold a release back takes a reviewer. To let it go further takes an administrator who showed just now who they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from projectone.contracts.rollouts import percent_of
from projectone.server.delivery.rollouts import Status, share_shown
from projectone.server.devices.operators import Role
from projectone.server.monitoring.evidence import Finding, Tally
from projectone.server.rollout_desk import Look, Turning

TURNS_OF_STATUS: Final[dict[Status, tuple[Turning, ...]]] = {
    "running": ("pause", "advance", "halt"),
    "paused": ("resume", "halt"),
    "halted": ("resume",),
    "done": ("halt",),
    "replaced": (),
}
WIDENING: Final[frozenset[Turning]] = frozenset({"resume", "advance"})
LABELS: Final[dict[Turning, str]] = {
    "pause": "Pause",
    "resume": "Let it go on",
    "advance": "Open the next stage",
    "halt": "Stop it",
}
_METRICS: Final = {
    "load-failed": "could not load it",
    "crash-looped": "it ended the app, twice",
    "silent": "not heard of for two days",
    "slow": "slower than speech",
    "empty": "most transcripts empty",
    "corrected": "most transcripts corrected",
}


@dataclass(frozen=True)
class Row:
    """One metric: both sides in words, and how far the evidence has come, in percent of what stops the release."""

    name: str
    treated: str
    control: str
    percent: int
    is_harm: bool


@dataclass(frozen=True)
class Panel:
    """What the page shows."""

    version: str
    seq: int
    status: Status
    reason: str | None
    share: str
    since: str
    next_stage: str | None
    stages: tuple[tuple[str, bool], ...]
    n_treated: int
    n_control: int
    n_canary: int
    rows: tuple[Row, ...]
    worse_here: str | None
    sees: str
    caution: str
    is_told: bool
    turns: tuple[Turning, ...]


def panel_of(found: Look, role: Role) -> Panel:
    """The page's contents, with the buttons of a role."""
    rollout, devices = found.rollout, found.reported.devices
    turns = TURNS_OF_STATUS[rollout.status]
    return Panel(
        version=found.manifest.version,
        seq=found.manifest.seq,
        status=rollout.status,
        reason=rollout.reason,
        share=share_shown(rollout),
        since=f"{rollout.stage_began_at:%Y-%m-%d %H:%M} UTC",
        next_stage=found.next_shown,
        stages=tuple(
            (f"{percent_of(stage.max_buckets):g} %" if stage.max_buckets else "who asks", place <= rollout.stage)
            for place, stage in enumerate(rollout.plan.stages)
        ),
        n_treated=devices.get("treated", 0),
        n_control=devices.get("control", 0),
        n_canary=devices.get("canary", 0),
        rows=tuple(_row(finding) for finding in found.judgement.findings),
        worse_here=_side(found.reported.worse_here) if found.reported.worse_here.total else None,
        sees=found.sees_shown[:1].upper() + found.sees_shown[1:],
        caution=found.caution,
        is_told=rollout.told == rollout.state.to_bytes().decode(),
        turns=tuple(turn for turn in turns if may_turn(role, turn)),
    )


def may_turn(role: Role, turning: Turning) -> bool:
    """Whether somebody in this role may press that button."""
    return role == "admin" or turning not in WIDENING


def _row(finding: Finding) -> Row:
    share = finding.log_evidence / finding.threshold
    return Row(
        name=_METRICS[finding.metric],
        treated=_side(finding.treated),
        control=_side(finding.control) if finding.control.total else "",
        percent=max(0, min(100, round(100 * share))),
        is_harm=finding.is_harm,
    )


def _side(tally: Tally) -> str:
    if not tally.total:
        return "nobody yet"
    low, high = tally.interval
    return f"{tally.failures} of {tally.total} ({low:.1%} to {high:.1%})"
