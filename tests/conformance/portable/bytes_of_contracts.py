"""Topic `canonical/contracts`: the one byte form of what a client sends, keeps or digests."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.portable.topics import Case, Mistake, Topic, Value

import projectone.contracts.base as base
from projectone.contracts.assist import IntentCorrection
from projectone.contracts.audio import AudioClip
from projectone.contracts.base import Contract, sha256_hex
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.corrections import Correction
from projectone.contracts.devices import Enrolment
from projectone.contracts.health import HealthReport, TicketRequest
from projectone.contracts.rollouts import RolloutPlan, RolloutState
from projectone.errors import ContractError

KINDS: dict[str, type[Contract]] = {
    kind.__name__: kind
    for kind in (
        AudioClip,
        ConsentReceipt,
        Correction,
        Enrolment,
        HealthReport,
        IntentCorrection,
        RolloutPlan,
        RolloutState,
        TicketRequest,
    )
}
CLIP: Value = {"sha256": "ab" * 32, "size_bytes": 32_044, "sample_rate_hz": 16_000, "duration_s": 1.0}
RECEIPT: Value = {
    "receipt_id": "11111111-2222-4333-8444-555555555555",
    "contributor_id": "c-7f3a",
    "scope": "corrections",
    "text_version": 2,
    "method": "web",
    "granted_at": "2026-11-22T12:00:00Z",
}
CORRECTION: Value = {
    "sample_id": "99999999-8888-4777-8666-555555555555",
    "contributor_id": "c-7f3a",
    "kind": "correction",
    "audio": CLIP,
    "text": "Grüße an Zoë",
    "consent_receipt_id": RECEIPT["receipt_id"],
    "recorded_at": "2026-11-22T12:00:00Z",
}
INTENT: Value = {
    "sample_id": "99999999-8888-4777-8666-555555555556",
    "contributor_id": "c-7f3a",
    "text": "wie warm wird es",
    "label": "weather",
    "consent_receipt_id": "11111111-2222-4333-8444-555555555556",
    "corrected_at": "2026-11-22T12:00:00Z",
}
REPORT: Value = {
    "channel": "stable",
    "seq": 7,
    "tier": "float16",
    "app_version": "0.1.0",
    "cohort": "treated",
    "phase": "used",
    "counts": {"installs": 1, "speeds": [3, 2, 1, 0, 0, 1], "corrections": 2},
    "ticket": {"serial": "cd" * 32, "signature": "QUJD" * 86},
}
ENROLMENT: Value = {
    "device_id": "d-1",
    "contributor_id": "c-7f3a",
    "public_key": "A" * 43 + "=",
    "enrolment_code": "let me in",
}


def run(given: Value) -> Value:
    """The canonical bytes of a value, or that it is none."""
    try:
        content = KINDS[given["contract"]].from_bytes(json.dumps(given["value"]).encode()).to_bytes()
    except ContractError:
        return {"refused": "contract"}
    return {"bytes": content.decode(), "sha256": sha256_hex(content)}


def _case(name: str, contract: str, base_value: Value, **changes: Any) -> Case:
    return Case(name, {"contract": contract, "value": base_value | changes})


def _without(value: Value, name: str) -> Value:
    return {key: item for key, item in value.items() if key != name}


_CASES = (
    _case("defaults are written", "ConsentReceipt", RECEIPT),
    _case("a moment of another zone becomes UTC", "ConsentReceipt", RECEIPT, granted_at="2026-11-22T01:30:00+02:00"),
    _case("microseconds are kept", "ConsentReceipt", RECEIPT, granted_at="2026-11-22T12:00:00.120000Z"),
    _case("an upper-case id becomes lower-case", "ConsentReceipt", RECEIPT, receipt_id=RECEIPT["receipt_id"].upper()),
    _case("a withdrawn consent", "ConsentReceipt", RECEIPT, withdrawn_at="2027-01-01T00:00:00Z"),
    _case("a whole number of seconds keeps its .0", "AudioClip", CLIP),
    _case("a fraction is written with the fewest digits", "AudioClip", CLIP, duration_s=0.1),
    _case("a fraction that needs all digits", "AudioClip", CLIP, duration_s=12.300000000000001),
    _case("a small fraction has a two-digit exponent", "AudioClip", CLIP, duration_s=0.00002),
    _case("a larger small fraction has none", "AudioClip", CLIP, duration_s=0.0001),
    _case("letters are UTF-8, not escapes", "Correction", CORRECTION),
    _case("quotes, slashes and backslashes", "Correction", CORRECTION, text='say "a/b\\c"'),
    _case("beyond the basic plane", "Correction", CORRECTION, text="wave \U0001f44b now"),
    _case("every field", "Correction", CORRECTION, heard="Grüsse", heard_by="1.2.0", language="de", accent="Wien",
          script_id="s-1", is_adult=True, others_present=False, kind="donation"),
    _case("an intent that was corrected", "IntentCorrection", INTENT),
    _case("none of the intents", "IntentCorrection", INTENT, label=None, guessed="weather", guessed_by="1.0.0",
          language="de", is_adult=True),
    _case("an introduction", "Enrolment", ENROLMENT),
    _case("a report", "HealthReport", REPORT),
    _case("a ticket is asked for", "TicketRequest",
          {"channel": "stable", "seq": 7, "side": "with", "blinded": "QUJD" * 86}),
    _case("a rollout that is stopped", "RolloutState",
          {"channel": "stable", "seq": 7, "buckets": 0, "is_halted": True, "reason": "person"}),
    _case("a plan", "RolloutPlan",
          {"salt": "0f" * 16, "stages": [{"not_before": "2026-11-22T12:00:00Z", "max_buckets": 100}]}),
    _case("a stranger's field", "ConsentReceipt", RECEIPT, colour="red"),
    _case("a missing field", "ConsentReceipt", _without(RECEIPT, "scope")),
    _case("an unknown purpose", "ConsentReceipt", RECEIPT, scope="marketing"),
    _case("a moment without a zone", "ConsentReceipt", RECEIPT, granted_at="2026-11-22T12:00:00"),
    _case("a name with a slash", "ConsentReceipt", RECEIPT, contributor_id="../c"),
    _case("an empty name", "ConsentReceipt", RECEIPT, contributor_id=""),
    _case("another schema version", "ConsentReceipt", RECEIPT, schema_version=2),
    _case("a version below one", "ConsentReceipt", RECEIPT, text_version=0),
    _case("a digest in capitals", "AudioClip", CLIP, sha256="AB" * 32),
    _case("a clip that is too long", "AudioClip", CLIP, duration_s=60.5),
    _case("a clip of no length", "AudioClip", CLIP, duration_s=0.0),
    _case("another sound format", "AudioClip", CLIP, media_type="audio/mpeg"),
    _case("a public key that is too short", "Enrolment", ENROLMENT, public_key="AAAA"),
    _case("too few speeds", "HealthReport", REPORT, counts={"speeds": [1, 2]}),
    _case("an intent without a word on its label", "IntentCorrection", _without(INTENT, "label")),
    _case("an empty label", "IntentCorrection", INTENT, label=""),
    _case("an intent that calls itself a correction", "IntentCorrection", INTENT, kind="correction"),
    _case("a correction that calls itself an intent", "Correction", CORRECTION, kind="intent"),
    _case("a sentence that is too long", "IntentCorrection", INTENT, text="a" * 501),
    _case("a count that is too high", "HealthReport", REPORT, counts={"installs": 1001}),
)  # fmt: skip


def _dumped(**options: Any) -> Any:
    usual: dict[str, Any] = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}
    return lambda value: json.dumps(value, **(usual | options)).encode()


TOPIC = Topic(
    name="canonical/contracts",
    about=(
        "A value of a contract (docs/contracts/<contract>.schema.json) becomes its canonical bytes, or is refused. "
        "Every field is written, also those left out of the value, with its default; keys sorted; no spaces; UTF-8; "
        "moments in UTC with Z and, if there are any, six digits of a second; numbers of type `number` as the fewest "
        "digits that read back the same, always with a point or an exponent (of two digits at least, below 0.0001 and "
        "from 1e16 on)."
    ),
    run=run,
    cases=_CASES,
    mistakes=(
        Mistake("the order of the fields", base, "canonical_json", _dumped(sort_keys=False)),
        Mistake("spaces", base, "canonical_json", _dumped(separators=(", ", ": "))),
        Mistake("escaped letters", base, "canonical_json", _dumped(ensure_ascii=True)),
        Mistake("defaults left out", Contract, "model_dump", lambda self, **_: json.loads(
            self.model_dump_json(exclude_defaults=True))),
        Mistake("strangers let in", ConsentReceipt, "from_bytes", classmethod(
            lambda cls, content: cls.model_construct(**json.loads(content)))),
    ),
)  # fmt: skip
