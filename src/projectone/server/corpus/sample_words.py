"""Rows of samples with their words: sealed on the way in, opened on the way out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projectone.contracts.base import sha256_hex
from projectone.contracts.corrections import Sample
from projectone.contracts.texts import clean_transcript
from projectone.errors import KeyDestroyedError, SealError
from projectone.server.corpus.tables import CLEAR_WORDS, SampleRow, utc
from projectone.server.corpus.vault import Place, Vault, Words


def sealed_row(sample: Sample, device_id: str, vault: Vault) -> dict[str, Any]:
    """What a row of `SAMPLES` keeps of a sample."""
    fields = "sample_id contributor_id consent_receipt_id kind language"
    receipt_id = sample.consent_receipt_id
    place = Place(sample.sample_id, sample.contributor_id, receipt_id)
    words = Words(
        device_id=device_id,
        text=sample.target,
        heard=sample.guess,
        heard_by=sample.guess_by,
        accent=sample.accent,
        script_id=sample.script_id,
    )
    return {
        **{name: getattr(sample, name) for name in fields.split()},
        "device_id": "",
        "recorded_at": sample.made_at,
        "upload_sha256": vault.mac(receipt_id, sample.payload_sha256),
        "correction_sha256": vault.mac(receipt_id, sha256_hex(sample.to_bytes())),
        "words": vault.seal_words(place, words),
        "text_mac": vault.mac(receipt_id, clean_transcript(words.text)),
    }


def sealed_values(row: Any, vault: Vault) -> dict[str, Any]:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    """What to write into a row of `SAMPLES` that lies open."""
    receipt_id = row.consent_receipt_id
    words = Words(device_id=row.device_id, **{name: getattr(row, name) for name in CLEAR_WORDS})
    return {
        **dict.fromkeys(CLEAR_WORDS),
        "device_id": "",
        "upload_sha256": vault.mac(receipt_id, row.upload_sha256),
        "correction_sha256": vault.mac(receipt_id, row.correction_sha256),
        "words": vault.seal_words(place_of_row(row), words),
        "text_mac": vault.mac(receipt_id, clean_transcript(words.text)),
    }


def is_same(row: Any, sample: Sample, vault: Vault) -> bool:  # noqa: ANN401 - a SQLAlchemy row has no type
    """Whether a row of `SAMPLES` keeps just this sample with just this payload."""
    digests = (sample.payload_sha256, sha256_hex(sample.to_bytes()))
    if row.words is not None:
        digests = (vault.mac(row.consent_receipt_id, digests[0]), vault.mac(row.consent_receipt_id, digests[1]))
    return (row.upload_sha256, row.correction_sha256) == digests


def place_of_row(row: Any) -> Place:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    """What the seals of a row of `SAMPLES` are bound to."""
    return Place(row.sample_id, row.contributor_id, row.consent_receipt_id)


def words_of_row(row: Any, vault: Vault) -> Words | None:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    """What a row of `SAMPLES` says of its clip; None if it is erased, or its key is.

    Raises:
        SealError: if the words were changed or belong to another row.
        KeyMissingError: if the store of keys is not the one that sealed them.
    """
    if row.words is None:
        clear = {name: getattr(row, name) for name in CLEAR_WORDS}
        return None if row.text is None else Words(device_id=row.device_id, **clear)
    try:
        return vault.open_words(place_of_row(row), row.words)
    except KeyDestroyedError:
        return None


def is_changed(row: Any, vault: Vault) -> bool:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    """Whether the words of a row are not those that were sealed for it."""
    try:
        words_of_row(row, vault)
    except SealError:
        return True
    return False


def opened(rows: Iterable[Any], vault: Vault) -> list[SampleRow]:
    """Rows of `SAMPLES` with their words.

    Left out are those whose key a withdrawal has just destroyed, and those whose words were changed: one bad row keeps
    nobody from the others, and `corpus scrub` names it.
    """
    found = []
    for row in rows:
        try:
            words = words_of_row(row, vault)
        except SealError:
            continue
        if words is not None:
            values = {name: getattr(row, name) for name in SampleRow.__dataclass_fields__}
            values |= {name: getattr(words, name) for name in ("device_id", "text", "heard", "accent")}
            moments = {name: utc(values[name]) for name in ("recorded_at", "received_at")}
            found.append(SampleRow(**values | moments))
    return found
