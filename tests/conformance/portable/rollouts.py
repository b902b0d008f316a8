"""Topics `rollout/buckets` and `rollout/turns`: whose turn it is."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from tests.conformance.portable.topics import Case, Mistake, Topic, Value

import projectone.contracts.rollouts as rollouts
from projectone.contracts.rollouts import RolloutPlan, RolloutState

_SALT = "0123456789abcdef0123456789abcdef"
_DEVICES = tuple(hashlib.sha256(bytes([n])).hexdigest()[:32] for n in range(12))


def bucket(given: Value) -> Value:
    """The bucket of a device."""
    return {"bucket": rollouts.bucket_of(given["salt"], given["device"])}


def _little_endian(salt: str, device: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{salt}:{device}".encode()).digest()[:8], "little") % 10_000


def _without_colon(salt: str, device: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{salt}{device}".encode()).digest()[:8], "big") % 10_000


def _signed(salt: str, device: str) -> int:
    number = int.from_bytes(hashlib.sha256(f"{salt}:{device}".encode()).digest()[:8], "big", signed=True)
    return abs(number) % 10_000


BUCKETS = Topic(
    name="rollout/buckets",
    about=(
        "The first 8 bytes, big-endian and without a sign, of SHA-256 over `<salt>:<device>` in UTF-8, modulo 10000. "
        "The device's name is a random one that never leaves it."
    ),
    run=bucket,
    cases=(
        *(Case(f"device {n}", {"salt": _SALT, "device": device}) for n, device in enumerate(_DEVICES)),
        Case("another salt", {"salt": "f" * 32, "device": _DEVICES[0]}),
        Case("a name that is no hex", {"salt": _SALT, "device": "Zoë's phone"}),
    ),
    mistakes=(
        Mistake("little-endian", rollouts, "bucket_of", _little_endian),
        Mistake("no colon", rollouts, "bucket_of", _without_colon),
        Mistake("with a sign", rollouts, "bucket_of", _signed),
    ),
)


def turn(given: Value) -> Value:
    """Where a device stands."""
    plan, state = given["plan"], given["state"]
    found = rollouts.turn_of(
        given["device"],
        given["seq"],
        None if plan is None else RolloutPlan.model_validate(plan),
        None if state is None else RolloutState.model_validate(state),
        datetime.fromisoformat(given["now"]),
        is_asking_early=given["is_asking_early"],
    )
    return {
        "cohort": found.cohort,
        "open_buckets": found.open_buckets,
        "is_halted": found.is_halted,
        "reason": found.reason,
        "may_install": found.may_install,
    }


_FIRST = min(_DEVICES, key=lambda device: rollouts.bucket_of(_SALT, device))
_BUCKET = rollouts.bucket_of(_SALT, _FIRST)
_PLAN: Value = {
    "salt": _SALT,
    "stages": [
        {"not_before": "2026-11-22T12:00:00Z", "max_buckets": 100},
        {"not_before": "2026-11-24T12:00:00Z", "max_buckets": 1000},
        {"not_before": "2026-11-26T12:00:00Z", "max_buckets": 10000},
    ],
}
_STATE: Value = {"channel": "stable", "seq": 7, "buckets": 10_000}
_DAY: dict[int, str] = {day: datetime(2026, 11, day, 12, tzinfo=UTC).isoformat() for day in range(20, 30)}


def _turn(name: str, **changes: Any) -> Case:
    usual = {
        "device": _FIRST, "seq": 7, "plan": _PLAN, "state": _STATE, "now": _DAY[28], "is_asking_early": False,
    }  # fmt: skip
    return Case(name, usual | changes)


def _open(buckets: int) -> Value:
    return _STATE | {"buckets": buckets}


_HALT = _STATE | {"buckets": 0, "is_halted": True, "reason": "person"}
_turn_of = rollouts.turn_of


def _larger_share(device: str, seq: int, plan: Any, state: Any, now: datetime, **options: Any) -> rollouts.Turn:
    if plan is not None and state is not None:
        state = state.model_copy(update={"buckets": max(state.buckets, plan.most_buckets(now))})
        plan = plan.model_copy(update={"stages": (plan.stages[0].model_copy(update={"max_buckets": 10_000}),)})
    return _turn_of(device, seq, plan, state, now, **options)


def _any_release(device: str, seq: int, plan: Any, state: Any, now: datetime, **options: Any) -> rollouts.Turn:
    return _turn_of(device, seq, plan, None if state is None else state.model_copy(update={"seq": seq}), now, **options)


def _halted_for_most(*arguments: Any, is_asking_early: bool = False) -> rollouts.Turn:
    found = _turn_of(*arguments, is_asking_early=is_asking_early)
    return rollouts.Turn("canary", 0) if found.is_halted and is_asking_early else found


TURNS = Topic(
    name="rollout/turns",
    about=(
        "Whose turn it is with release `seq`: `plan` is signed with the release, `state` by an online key. The open "
        "share is the smaller of the state's buckets and the plan's largest stage that has begun (`not_before` <= "
        "now). Below it: treated. Else canary, if the user asks early. Else control, up to eleven times the share. A "
        "state about another seq says nothing; a halt stops everybody; a release without a plan is for everybody."
    ),
    run=turn,
    cases=(
        _turn("everybody"),
        _turn("before the first stage", now=_DAY[21]),
        _turn("the moment of the first stage", now=_DAY[22]),
        _turn("the plan is smaller than the state", now=_DAY[24]),
        _turn("the state is smaller than the plan", state=_open(_BUCKET)),
        _turn("the state reaches just this device", state=_open(_BUCKET + 1)),
        _turn("a device beside it", state=_open(_BUCKET // 11 + 1)),
        _turn("a device far from it", state=_open(_BUCKET // 11)),
        _turn("asked for early", state=_open(0), is_asking_early=True),
        _turn("asked for early, and in turn", is_asking_early=True),
        _turn("stopped", state=_HALT),
        _turn("stopped, and asked for early", state=_HALT, is_asking_early=True),
        _turn("nothing is said yet", state=None),
        _turn("something is said of another release", state=_STATE | {"seq": 6}),
        _turn("another release is stopped", state=_HALT | {"seq": 6}),
        _turn("no plan", plan=None, state=None),
        _turn("no plan, and stopped", plan=None, state=_HALT),
        _turn("a moment of another zone", now="2026-11-22T13:59:59+02:00"),
    ),
    mistakes=(
        Mistake("the larger share", rollouts, "turn_of", _larger_share),
        Mistake("a state about any release", rollouts, "turn_of", _any_release),
        Mistake("the eager get what is stopped", rollouts, "turn_of", _halted_for_most),
        Mistake("as many beside as in", rollouts, "CONTROLS_PER_TREATED", 1),
        Mistake("one bucket too many", rollouts, "bucket_of", lambda salt, device: _BUCKET - 1),
    ),
)
