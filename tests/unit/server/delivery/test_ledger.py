from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine

from projectone.contracts.releases import ReleaseFile, ReleaseManifest
from projectone.contracts.signatures import key_id_of, public_key_text, verify_manifest
from projectone.errors import LeaseError, SettingsError, SignatureError, StorageError, WithdrawnError
from projectone.server.audit import AUDIT_LOG
from projectone.server.database import METADATA, open_engine
from projectone.server.delivery.ledger import RELEASE_TIERS, RELEASES, Ledger
from projectone.server.delivery.signing import ReleaseSigner, load_signer

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = ReleaseSigner(KEY)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    METADATA.create_all(engine, tables=[RELEASES, RELEASE_TIERS, AUDIT_LOG])
    yield engine
    engine.dispose()


def draft(seq: int, *, version: str = "1.0.0", channel: str = "stable") -> ReleaseManifest:
    return ReleaseManifest(
        channel=channel,
        seq=seq,
        version=version,
        repo_id="acme/whisper",
        commit="0" * 40,
        base_sha256="1" * 64,
        weights_sha256="2" * 64,
        package_sha256="3" * 64,
        package_size_bytes=10,
        files=(ReleaseFile(path="model.safetensors", sha256="2" * 64, size_bytes=10),),
        created_at=NOW,
        expires_at=NOW + timedelta(days=30),
    )


def publish(ledger: Ledger, run_id: str, *, version: str = "1.0.0", channel: str = "stable") -> int:
    made = ledger.publish(run_id, channel, lambda seq: draft(seq, version=version, channel=channel), SIGNER.sign)
    return made.manifest.seq


def test_numbers_rise_within_a_channel(engine: Engine) -> None:
    ledger = Ledger(engine)
    assert [publish(ledger, "a"), publish(ledger, "b"), publish(ledger, "c", channel="beta")] == [1, 2, 1]
    assert publish(ledger, "d") == 3


def test_a_release_is_refused_in_its_own_transaction_and_not_asked_about_again(engine: Engine) -> None:
    ledger = Ledger(engine)

    def refuse(connection: Connection) -> None:
        raise WithdrawnError("a sample in it was withdrawn")

    with pytest.raises(WithdrawnError):
        ledger.publish("a", "stable", draft, SIGNER.sign, before_new=refuse)
    assert ledger.releases() == []
    assert ledger.released_weights() == set()
    first = ledger.publish("a", "stable", draft, SIGNER.sign, before_new=lambda connection: None)
    assert ledger.publish("a", "stable", draft, SIGNER.sign, before_new=refuse) == first
    assert ledger.released_weights() == {first.manifest.weights_sha256}


def test_a_release_has_one_manifest_for_each_tier(engine: Engine) -> None:
    def of_tier(tier: str, package: str) -> Callable[[int], ReleaseManifest]:
        return lambda seq: draft(seq).model_copy(update={"tier": tier, "package_sha256": package * 64})

    ledger = Ledger(engine)
    others = [of_tier("int8", "5"), of_tier("int4", "4")]
    made = ledger.publish("a", "stable", draft, SIGNER.sign, others=others)
    publish(ledger, "b")
    assert list(made.tiers) == ["float16", "int4", "int8"]
    assert {tier.seq for tier in made.tiers.values()} == {1}
    assert made.contents == {"3" * 64, "4" * 64, "5" * 64}
    assert ledger.releases()[0] == ledger.find("a") == made
    newest = ledger.newest("stable")
    assert newest is not None and list(newest.tiers) == ["float16"]
    with pytest.raises(StorageError, match="one of each"):
        ledger.publish("c", "stable", draft, SIGNER.sign, others=[of_tier("int8", "5"), of_tier("int8", "6")])
    with pytest.raises(StorageError, match="one of each"):
        ledger.publish("c", "stable", of_tier("int8", "5"), SIGNER.sign)
    assert ledger.find("c") is None


def test_a_run_releases_once(engine: Engine) -> None:
    ledger = Ledger(engine)
    assert publish(ledger, "a") == publish(ledger, "a", version="9.9.9") == 1
    assert [release.manifest.version for release in ledger.releases()] == ["1.0.0"]


def test_the_newest_release_is_what_devices_are_told(engine: Engine) -> None:
    ledger = Ledger(engine, public_url="https://speech.example.org/")
    assert ledger.latest("stable") is None
    publish(ledger, "a")
    publish(ledger, "b", version="1.1.0")
    info = ledger.latest("stable")
    assert info is not None
    assert (info.version, info.seq) == ("1.1.0", 2)
    assert info.url == f"https://speech.example.org/v1/releases/{'3' * 64}.zip"
    public = public_key_text(KEY)
    assert verify_manifest({key_id_of(public): public}, info.signed) == draft(2, version="1.1.0")


def test_a_device_with_another_key_believes_nothing(engine: Engine) -> None:
    ledger = Ledger(engine)
    publish(ledger, "a")
    info = ledger.latest("stable")
    assert info is not None
    other = public_key_text(Ed25519PrivateKey.generate())
    with pytest.raises(SignatureError):
        verify_manifest({key_id_of(other): other}, info.signed)


def test_renewing_moves_the_expiry_and_nothing_else(engine: Engine) -> None:
    ledger = Ledger(engine)
    publish(ledger, "a")
    before = ledger.newest("stable")
    ledger.renew("stable", NOW + timedelta(days=60), SIGNER.sign)
    after = ledger.newest("stable")
    assert before is not None and after is not None
    assert after.manifest == before.manifest.model_copy(update={"expires_at": NOW + timedelta(days=60)})
    public = public_key_text(KEY)
    assert verify_manifest({key_id_of(public): public}, after.signed) == after.manifest


def test_a_stale_worker_releases_nothing(engine: Engine) -> None:
    def refuse(connection: Connection) -> None:
        raise LeaseError("stale")

    with pytest.raises(LeaseError):
        Ledger(engine).publish("a", "stable", draft, SIGNER.sign, guard=refuse)
    assert Ledger(engine).releases() == []


def test_a_manifest_of_another_number_is_refused(engine: Engine) -> None:
    with pytest.raises(StorageError, match="expected stable 1"):
        Ledger(engine).publish("a", "stable", lambda seq: draft(seq + 5), SIGNER.sign)


def test_a_missing_or_foreign_key_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="init"):
        load_signer(tmp_path / "release.key")
    (tmp_path / "release.key").write_bytes(b"not a key")
    with pytest.raises(SettingsError, match="PEM"):
        load_signer(tmp_path / "release.key")
