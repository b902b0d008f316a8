"""How a device introduces itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name


class Enrolment(Contract):
    """A device's public key and the pseudonym of the person who uses it. No name, no address, no serial number."""

    schema_version: Literal[1] = 1
    device_id: Name
    contributor_id: Name
    public_key: str = Field(pattern=r"^[A-Za-z0-9+/]{43}=$", description="Raw Ed25519 public key, base64")
    enrolment_code: str = Field(max_length=200)


class EnrolmentReceipt(Contract):
    """The server knows the device now."""

    device_id: Name
    enrolled_at: Moment
