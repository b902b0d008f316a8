"""A server's audit log as devices see it, which can be told to lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from projectone.contracts.checkpoints import AuditCheckpoint, ProvenCheckpoint
from projectone.contracts.merkle import MerkleTree
from projectone.contracts.signatures import sign_checkpoint


@dataclass
class Log:
    """The audit log: digests of entries, and what was last signed of them."""

    entries: list[bytes] = field(default_factory=list)
    newest: AuditCheckpoint | None = None
    key: Ed25519PrivateKey | None = None  # the server's, unless somebody else signs

    def sign(self, at: datetime) -> None:
        """Make a checkpoint of what is there."""
        head = self.entries[-1].hex() if self.entries else "0" * 64
        root = MerkleTree(self.entries).root.hex()
        self.newest = AuditCheckpoint(n_entries=len(self.entries), head_sha256=head, merkle_root=root, made_at=at)

    def shown(self, key: Ed25519PrivateKey, first: int) -> ProvenCheckpoint:
        """The newest checkpoint, and what the entries of now show of the first ones."""
        assert self.newest is not None
        n = self.newest.n_entries
        path = MerkleTree(self.entries[:n]).prefix_path(first) if 0 < first < n else []
        signed = sign_checkpoint(self.key or key, self.newest)
        return ProvenCheckpoint(newest=signed, path=tuple(node.hex() for node in path))
