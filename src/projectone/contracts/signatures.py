"""Ed25519 over canonical bytes: receipts of erasures, snapshots, scripts, checkpoints, uses of a sample, policies."""

from __future__ import annotations

from collections.abc import Mapping

from projectone.contracts.checkpoints import AuditCheckpoint, SignedCheckpoint
from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.contracts.policies import PolicySet, SignedPolicies
from projectone.contracts.scripts import ScriptSheet, SignedScripts
from projectone.contracts.signed_bytes import SignedKind
from projectone.contracts.signed_bytes import key_id_of as key_id_of
from projectone.contracts.signed_bytes import public_key_text as public_key_text
from projectone.contracts.signed_requests import MAX_CLOCK_AHEAD_S as MAX_CLOCK_AHEAD_S
from projectone.contracts.signed_requests import MAX_REQUEST_AGE_S as MAX_REQUEST_AGE_S
from projectone.contracts.signed_requests import VerifiedRequest as VerifiedRequest
from projectone.contracts.signed_requests import content_digest as content_digest
from projectone.contracts.signed_requests import sign_request as sign_request
from projectone.contracts.signed_requests import verify_request as verify_request
from projectone.contracts.snapshots import SignedSnapshot, SnapshotManifest, is_member
from projectone.contracts.uses import SampleUses, SignedUses
from projectone.errors import ContractError

ERASURE = SignedKind(
    "erasure receipt",
    context=b"projectone erasure receipt 1\n",
    document=ErasureReceipt,
    signed=SignedErasure,
    field="receipt",
)
SNAPSHOT = SignedKind(
    "snapshot",
    context=b"projectone dataset snapshot 1\n",
    document=SnapshotManifest,
    signed=SignedSnapshot,
    field="manifest",
)
SCRIPTS = SignedKind(
    "scripts",
    context=b"projectone script sheet 1\n",
    document=ScriptSheet,
    signed=SignedScripts,
    field="sheet",
)
CHECKPOINT = SignedKind(
    "checkpoint",
    context=b"projectone audit checkpoint 1\n",
    document=AuditCheckpoint,
    signed=SignedCheckpoint,
    field="checkpoint",
)
USES = SignedKind(
    "uses of a sample",
    context=b"projectone uses of a sample 1\n",
    document=SampleUses,
    signed=SignedUses,
    field="uses",
)
POLICIES = SignedKind(
    "policies",
    context=b"projectone approved policies 1\n",
    document=PolicySet,
    signed=SignedPolicies,
    field="policies",
)

sign_erasure, verify_erasure = ERASURE.sign, ERASURE.verify
sign_snapshot, verify_snapshot = SNAPSHOT.sign, SNAPSHOT.verify
sign_scripts, verify_scripts = SCRIPTS.sign, SCRIPTS.verify
sign_checkpoint, verify_checkpoint = CHECKPOINT.sign, CHECKPOINT.verify
sign_policies, verify_policies = POLICIES.sign, POLICIES.verify
sign_uses = USES.sign


def verify_uses(trusted: Mapping[str, str], signed: SignedUses) -> tuple[SampleUses, tuple[bool | None, ...]]:
    """What was signed, and for each model whether it learned from the sample, each proof checked; None where none is.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server sent.

    Raises:
        SignatureError: if the key is unknown or a signature does not hold.
        ContractError: if the signed bytes are something else, or a proof does not show what it says.
    """
    uses = USES.verify(trusted, signed)
    learned: list[bool | None] = []
    for model in uses.models:
        if model.proof is None:
            learned.append(None if model.snapshot_missing else False)
            continue
        if model.proof.sample_id != uses.sample_id:
            raise ContractError(f"proof: expected one about {uses.sample_id}, got one about {model.proof.sample_id}")
        learned.append(is_member(model.proof, verify_snapshot(trusted, model.proof.snapshot)))
    return uses, tuple(learned)
