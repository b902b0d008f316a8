from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from projectone.contracts.releases import ReleaseFile, ReleaseManifest
from projectone.errors import LeaseError, SettingsError, StorageError, WithdrawnError
from projectone.server.audit import AUDIT_LOG
from projectone.server.database import METADATA, open_engine
from projectone.server.delivery.ledger import RELEASE_TIERS, RELEASES, Ledger
from projectone.server.delivery.signing import load_signer

NOW = datetime(2026, 11, 21, tzinfo=UTC)


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
    )


def publish(ledger: Ledger, run_id: str, *, version: str = "1.0.0", channel: str = "stable") -> int:
    made = ledger.publish(run_id, channel, lambda seq: draft(seq, version=version, channel=channel))
    return made.manifest.seq


def test_numbers_rise_within_a_channel(engine: Engine) -> None:
    ledger = Ledger(engine)
    assert [publish(ledger, "a"), publish(ledger, "b"), publish(ledger, "c", channel="beta")] == [1, 2, 1]
    assert publish(ledger, "d") == 3


def test_numbers_begin_above_those_that_somebody_else_gave_out(engine: Engine) -> None:
    assert publish(Ledger(engine), "a") == 1
    recovered = Ledger(engine, above=70_000)
    assert [publish(recovered, "b"), publish(recovered, "c"), publish(recovered, "a")] == [70_001, 70_002, 1]
    assert publish(Ledger(engine), "d") == 70_003


def test_a_release_is_refused_in_its_own_transaction_and_not_asked_about_again(engine: Engine) -> None:
    ledger = Ledger(engine)

    def refuse(connection: Connection) -> None:
        raise WithdrawnError("a sample in it was withdrawn")

    with pytest.raises(WithdrawnError):
        ledger.publish("a", "stable", draft, before_new=refuse)
    assert ledger.releases() == []
    assert ledger.released_weights() == set()
    first = ledger.publish("a", "stable", draft, before_new=lambda connection: None)
    assert ledger.publish("a", "stable", draft, before_new=refuse) == first
    assert ledger.released_weights() == {first.manifest.weights_sha256}


def test_a_release_has_one_manifest_for_each_tier(engine: Engine) -> None:
    def of_tier(tier: str, package: str) -> Callable[[int], ReleaseManifest]:
        return lambda seq: draft(seq).model_copy(update={"tier": tier, "package_sha256": package * 64})

    ledger = Ledger(engine)
    others = [of_tier("int8", "5"), of_tier("int4", "4")]
    made = ledger.publish("a", "stable", draft, others=others)
    publish(ledger, "b")
    assert list(made.tiers) == ["float16", "int4", "int8"]
    assert {tier.seq for tier in made.tiers.values()} == {1}
    assert made.contents == {"3" * 64, "4" * 64, "5" * 64}
    assert ledger.releases()[0] == ledger.find("a") == made
    newest = ledger.newest("stable")
    assert newest is not None and list(newest.tiers) == ["float16"]
    with pytest.raises(StorageError, match="one of each"):
        ledger.publish("c", "stable", draft, others=[of_tier("int8", "5"), of_tier("int8", "6")])
    with pytest.raises(StorageError, match="one of each"):
        ledger.publish("c", "stable", of_tier("int8", "5"))
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
    assert info.metadata_url == "https://speech.example.org/tuf/metadata"
    assert info.release_path == "stable/float16/release.json"


def test_a_stale_worker_releases_nothing(engine: Engine) -> None:
    def refuse(connection: Connection) -> None:
        raise LeaseError("stale")

    with pytest.raises(LeaseError):
        Ledger(engine).publish("a", "stable", draft, guard=refuse)
    assert Ledger(engine).releases() == []


def test_a_manifest_of_another_number_is_refused(engine: Engine) -> None:
    with pytest.raises(StorageError, match="expected stable 1"):
        Ledger(engine).publish("a", "stable", lambda seq: draft(seq + 5))


def test_a_missing_or_foreign_key_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="init"):
        load_signer(tmp_path / "release.key")
    (tmp_path / "release.key").write_bytes(b"not a key")
    with pytest.raises(SettingsError, match="PEM"):
        load_signer(tmp_path / "release.key")
