"""A consent as a record after ISO/IEC TS 27560:2023: for programs that must show what somebody agreed to.

Field names are the standard's; what it has no field for (the samples, and the limits of an erasure) stands under
``x_projectone``. Nothing here is asked from anybody: a device makes the record of its own ledger, offline.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from projectone.contracts.consent import KEPT_HERE, ConsentReceipt, ConsentScope, words_of
from projectone.contracts.erasures import ERASURE_LIMITS

SCHEMA: Final = "ISO/IEC TS 27560:2023"

_PURPOSE: Final[dict[ConsentScope, str]] = {
    "corrections": "improve the speech model from corrected transcripts",
    "voice_donation": "improve the speech model from scripts that were read aloud",
    "evaluation": "measure speech models on samples that they do not learn from",
    "quality": "notice when a model begins to do worse, from sums over many devices",
    "intents": "improve the small model that says what was meant, from sentences whose meaning was corrected",
    "hosted_answers": "answer questions by a language model of a server that the person chose",
}
_PII: Final[dict[ConsentScope, tuple[str, ...]]] = {
    "corrections": ("voice recording", "corrected transcript", "transcript by the model"),
    "voice_donation": ("voice recording", "script that was read"),
    "evaluation": ("voice recording", "transcript"),
    "quality": ("one randomised class of a measurement, once a week",),
    "intents": ("sentence as text", "meaning that was chosen", "meaning by the model"),
    "hosted_answers": ("question as text, with marks in the place of what was found to be personal",),
}
WITHDRAWAL: Final = "projectone consent withdraw {scope}, then projectone sync"


def limits_of(receipt: ConsentReceipt) -> tuple[str, ...]:
    """What withdrawing this consent does not reach, and until when: dates once it is withdrawn, spans before."""
    if receipt.scope == "hosted_answers":
        return ("What a server has read, only whoever runs it can delete: ask them.",)
    if receipt.scope in KEPT_HERE:
        return ("What was sent bears nothing by which it could be found again: it stays in the sums.",)
    words = words_of(receipt.scope, receipt.text_version)
    return (
        _until(receipt, words.backups_days if words else None, "Backups of what was erased last"),
        _until(receipt, words.retrain_days if words else None, "A model that learned from it may be in use"),
        *ERASURE_LIMITS,
    )


def _until(receipt: ConsentReceipt, days: int | None, what: str) -> str:
    if days is None:
        return f"{what} for a time that the words of this consent do not name."
    if receipt.withdrawn_at is None:
        return f"{what} at most {days} days after a withdrawal."
    return f"{what} until {receipt.withdrawn_at + timedelta(days=days):%Y-%m-%d} at the latest."


def consent_record(receipt: ConsentReceipt, *, server: str | None, samples: Mapping[UUID, str]) -> dict[str, Any]:
    """The record of one consent, as JSON values.

    Args:
        receipt: The consent.
        server: Address of the operator's server; None if none is set.
        samples: What was given under it, and where each is.
    """
    words = words_of(receipt.scope, receipt.text_version)
    return {
        "schema_version": SCHEMA,
        "record_id": str(receipt.receipt_id),
        "pii_principal_id": receipt.contributor_id,
        "privacy_notice": {
            "version": receipt.text_version,
            "effective_date": words.since.isoformat() if words else None,
            "text": words.text if words else None,
        },
        "language": "en",
        "purposes": [_purpose(receipt)],
        "party_identification": [{"party_id": "operator", "party_role": "pii_controller", "party_url": server}],
        "events": _events(receipt),
        "x_projectone": {
            "samples": [{"sample_id": str(sample_id), "state": state} for sample_id, state in samples.items()],
            "limits": list(limits_of(receipt)),
        },
    }


def _purpose(receipt: ConsentReceipt) -> dict[str, Any]:
    return {
        "purpose": receipt.scope,
        "purpose_type": _PURPOSE[receipt.scope],
        "lawful_basis": "consent",
        # A voice can identify a person, so it is treated as what it could be used for.
        "pii_information": [
            {"pii_type": kind, "pii_optional": True, "special_pii_category": kind == "voice recording"}
            for kind in _PII[receipt.scope]
        ],
        "pii_controllers": ["operator"],
        "collection_method": receipt.method,
        "processing_methods": ["storage", "training" if receipt.scope != "evaluation" else "evaluation"],
        "recipient_third_parties": [],
        "retention_period": "until withdrawal",
        "withdrawal_method": WITHDRAWAL.format(scope=receipt.scope),
    }


def _events(receipt: ConsentReceipt) -> list[dict[str, Any]]:
    events = [("given", receipt.granted_at), ("withdrawn", receipt.withdrawn_at)]
    return [
        {
            "event_time": moment.isoformat(),
            "event_type": "consent",
            "event_state": state,
            "entity_id": receipt.contributor_id,
        }
        for state, moment in events
        if moment is not None
    ]
