"""Ed25519 over canonical bytes: receipts of erasures, snapshots, scripts, checkpoints, uses of a sample."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from projectone.contracts.checkpoints import AuditCheckpoint, SignedCheckpoint
from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.contracts.policies import PolicySet, SignedPolicies
from projectone.contracts.scripts import ScriptSheet, SignedScripts
from projectone.contracts.signed_bytes import key_id_of as key_id_of
from projectone.contracts.signed_bytes import public_key_text as public_key_text
from projectone.contracts.signed_bytes import signed_by, signed_bytes
from projectone.contracts.signed_requests import MAX_CLOCK_AHEAD_S as MAX_CLOCK_AHEAD_S
from projectone.contracts.signed_requests import MAX_REQUEST_AGE_S as MAX_REQUEST_AGE_S
from projectone.contracts.signed_requests import VerifiedRequest as VerifiedRequest
from projectone.contracts.signed_requests import content_digest as content_digest
from projectone.contracts.signed_requests import sign_request as sign_request
from projectone.contracts.signed_requests import verify_request as verify_request
from projectone.contracts.snapshots import SignedSnapshot, SnapshotManifest, is_member
from projectone.contracts.uses import SampleUses, SignedUses
from projectone.errors import ContractError

# Signed before the receipt's bytes, so that no signature over anything else can pass for one over a receipt.
_ERASURE_CONTEXT = b"projectone erasure receipt 1\n"
_SNAPSHOT_CONTEXT = b"projectone dataset snapshot 1\n"
_SCRIPTS_CONTEXT = b"projectone script sheet 1\n"
_CHECKPOINT_CONTEXT = b"projectone audit checkpoint 1\n"
_USES_CONTEXT = b"projectone uses of a sample 1\n"
_POLICIES_CONTEXT = b"projectone approved policies 1\n"


def sign_erasure(key: Ed25519PrivateKey, receipt: ErasureReceipt) -> SignedErasure:
    """The receipt's canonical bytes and the signature over them."""
    content = receipt.to_bytes()
    return SignedErasure(
        receipt=base64.b64encode(content).decode(),
        **signed_by(key, content, context=_ERASURE_CONTEXT),
    )


def verify_erasure(trusted: Mapping[str, str], signed: SignedErasure) -> ErasureReceipt:
    """The receipt, if a key we trust signed exactly these bytes as a receipt.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server sent.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not a receipt.
    """
    content = signed_bytes(
        trusted, signed.key_id, signed.receipt, signed.signature, context=_ERASURE_CONTEXT, what="erasure receipt"
    )
    return ErasureReceipt.from_bytes(content)


def sign_snapshot(key: Ed25519PrivateKey, manifest: SnapshotManifest) -> SignedSnapshot:
    """The manifest's canonical bytes and the signature over them."""
    content = manifest.to_bytes()
    return SignedSnapshot(
        manifest=base64.b64encode(content).decode(),
        **signed_by(key, content, context=_SNAPSHOT_CONTEXT),
    )


def verify_snapshot(trusted: Mapping[str, str], signed: SignedSnapshot) -> SnapshotManifest:
    """The manifest, if a key we trust signed exactly these bytes as one of a snapshot.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server made.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not such a manifest.
    """
    content = signed_bytes(
        trusted, signed.key_id, signed.manifest, signed.signature, context=_SNAPSHOT_CONTEXT, what="snapshot"
    )
    return SnapshotManifest.from_bytes(content)


def sign_checkpoint(key: Ed25519PrivateKey, checkpoint: AuditCheckpoint) -> SignedCheckpoint:
    """The checkpoint's canonical bytes and the signature over them."""
    content = checkpoint.to_bytes()
    return SignedCheckpoint(
        checkpoint=base64.b64encode(content).decode(),
        **signed_by(key, content, context=_CHECKPOINT_CONTEXT),
    )


def verify_checkpoint(trusted: Mapping[str, str], signed: SignedCheckpoint) -> AuditCheckpoint:
    """The checkpoint, if a key we trust signed exactly these bytes as one of an audit log.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server made.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not a checkpoint.
    """
    content = signed_bytes(
        trusted, signed.key_id, signed.checkpoint, signed.signature, context=_CHECKPOINT_CONTEXT, what="checkpoint"
    )
    return AuditCheckpoint.from_bytes(content)


def sign_uses(key: Ed25519PrivateKey, uses: SampleUses) -> SignedUses:
    """The canonical bytes and the signature over them."""
    content = uses.to_bytes()
    return SignedUses(
        uses=base64.b64encode(content).decode(),
        **signed_by(key, content, context=_USES_CONTEXT),
    )


def verify_uses(trusted: Mapping[str, str], signed: SignedUses) -> tuple[SampleUses, tuple[bool | None, ...]]:
    """What was signed, and for each model whether it learned from the sample, each proof checked; None where none is.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server sent.

    Raises:
        SignatureError: if the key is unknown or a signature does not hold.
        ContractError: if the signed bytes are something else, or a proof does not show what it says.
    """
    content = signed_bytes(
        trusted, signed.key_id, signed.uses, signed.signature, context=_USES_CONTEXT, what="uses of a sample"
    )
    uses = SampleUses.from_bytes(content)
    learned: list[bool | None] = []
    for model in uses.models:
        if model.proof is None:
            learned.append(None if model.snapshot_missing else False)
            continue
        if model.proof.sample_id != uses.sample_id:
            raise ContractError(f"proof: expected one about {uses.sample_id}, got one about {model.proof.sample_id}")
        learned.append(is_member(model.proof, verify_snapshot(trusted, model.proof.snapshot)))
    return uses, tuple(learned)


def sign_scripts(key: Ed25519PrivateKey, sheet: ScriptSheet) -> SignedScripts:
    """The sheet's canonical bytes and the signature over them."""
    content = sheet.to_bytes()
    return SignedScripts(
        sheet=base64.b64encode(content).decode(),
        **signed_by(key, content, context=_SCRIPTS_CONTEXT),
    )


def verify_scripts(trusted: Mapping[str, str], signed: SignedScripts) -> ScriptSheet:
    """The sheet, if a key we trust signed exactly these bytes as a sheet.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server sent.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not a sheet.
    """
    content = signed_bytes(
        trusted, signed.key_id, signed.sheet, signed.signature, context=_SCRIPTS_CONTEXT, what="scripts"
    )
    return ScriptSheet.from_bytes(content)


def sign_policies(key: Ed25519PrivateKey, policies: PolicySet) -> SignedPolicies:
    """The set's canonical bytes and the signature over them."""
    content = policies.to_bytes()
    return SignedPolicies(
        policies=base64.b64encode(content).decode(),
        **signed_by(key, content, context=_POLICIES_CONTEXT),
    )


def verify_policies(trusted: Mapping[str, str], signed: SignedPolicies) -> PolicySet:
    """The set, if a key we trust signed exactly these bytes as one.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server made.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not a set of policies.
    """
    content = signed_bytes(
        trusted, signed.key_id, signed.policies, signed.signature, context=_POLICIES_CONTEXT, what="policies"
    )
    return PolicySet.from_bytes(content)
