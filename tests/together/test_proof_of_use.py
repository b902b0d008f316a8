"""A person asks which models learned from a sample of theirs, and checks the server's answer without the server."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.caller import a_clip
from tests.fakes.device_rooms import tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer, make_release, running
from tests.unit.device.test_cli import run
from tests.unit.server.api.conftest import Backend, backend, fresh_home, reason  # noqa: F401 - fixtures
from tests.unit.server.api.test_consents import item_of

from projectone.contracts import endpoints
from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.signatures import public_key_text, sign_snapshot, sign_uses, verify_uses
from projectone.contracts.snapshots import SignedSnapshot, SnapshotManifest
from projectone.contracts.uses import ModelUse, SampleUses, SignedUses
from projectone.device.cli import main
from projectone.device.settings import DeviceSettings
from projectone.device.trust import Trust
from projectone.device.wiring import open_client
from projectone.errors import SignatureError
from projectone.server.corpus.snapshots import Snapshots
from projectone.server.corpus.uses import Uses
from projectone.server.delivery.signing import load_signer
from projectone.server.runs import Runs

KEY = Ed25519PrivateKey.generate()


@dataclass
class Story:
    """A first model; one that learned from Ada and Bob; one without the sample that Ada took back since."""

    uses: Uses
    taken_back: uuid.UUID
    kept: uuid.UUID


def sign(manifest: SnapshotManifest) -> SignedSnapshot:
    return sign_snapshot(KEY, manifest)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def story(backend: Backend) -> Story:  # noqa: F811
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip(1), name="taken back")
    ada.put(a_clip(2), name="kept")
    bob.put(a_clip(3))
    ids = [ada.correction(a_clip(), name=name).sample_id for name in ("taken back", "kept")]
    runs = Runs(backend.engine)
    snapshots = Snapshots(backend.engine, backend.catalog, backend.services.blobs, sign=sign, clock=now)
    releases: list[tuple[str, ReleaseManifest]] = []

    def release(version: str, *, is_trained: bool = True) -> None:
        run_id, weights = runs.request("on-demand").run_id, f"{len(releases):064x}"
        values = {"candidate_sha256": weights}
        if is_trained:
            sealed = snapshots.seal([item_of(row) for row in backend.catalog.usable()], split="none")
            values["dataset_sha256"] = sealed.manifest.dataset_sha256
        runs.finish(run_id, "succeeded", guard=lambda connection: None, **values)
        made = make_release({"weights.bin": b"w"}, seq=len(releases) + 1, version=version, weights_sha256=weights)
        releases.append((run_id, made.manifest))

    release("1.0.0", is_trained=False)
    release("1.1.0")
    assert ada.signed("DELETE", endpoints.sample(ids[0])).status_code == 200
    release("1.2.0")
    return Story(Uses(runs, snapshots, releases=lambda: releases, clock=now), ids[0], ids[1])


def learned(uses: SampleUses) -> dict[str, bool | None]:
    found, answers = Trust([public_key_text(KEY)], channel="stable", runtime="0.1.0").read_uses(sign_uses(KEY, uses))
    return {model.version: answer for model, answer in zip(found.models, answers, strict=True)}


def test_each_model_is_proved_to_have_learned_from_a_sample_or_not(story: Story) -> None:
    assert learned(story.uses.of(story.taken_back)) == {"1.2.0": False, "1.1.0": True, "1.0.0": False}
    assert learned(story.uses.of(story.kept)) == {"1.2.0": True, "1.1.0": True, "1.0.0": False}
    assert learned(story.uses.of(uuid.uuid4())) == {"1.2.0": False, "1.1.0": False, "1.0.0": False}


def deny(uses: SampleUses) -> SampleUses:
    """The server says that the model did not learn from it, by the leaves beside it."""
    proof = uses.models[1].proof
    assert proof is not None
    return _with(uses, uses.models[1].model_copy(update={"proof": proof.model_copy(update={"places": ()})}))


def speak_of_another(uses: SampleUses) -> SampleUses:
    return uses.model_copy(update={"sample_id": uuid.uuid4()})


def move(uses: SampleUses) -> SampleUses:
    proof = uses.models[1].proof
    assert proof is not None
    place = proof.places[0]
    moved = place.model_copy(update={"index": (place.index + 1) % 3})
    return _with(uses, uses.models[1].model_copy(update={"proof": proof.model_copy(update={"places": (moved,)})}))


def _with(uses: SampleUses, model: ModelUse) -> SampleUses:
    return uses.model_copy(update={"models": (uses.models[0], model, uses.models[2])})


@pytest.mark.parametrize("bend", [deny, speak_of_another, move])
def test_a_server_that_bends_a_proof_is_found_though_it_signs(
    story: Story, bend: Callable[[SampleUses], SampleUses]
) -> None:
    with pytest.raises(SignatureError, match="uses of a sample: proof"):
        learned(bend(story.uses.of(story.taken_back)))


def test_nobody_else_signs_an_answer(story: Story) -> None:
    signed = sign_uses(Ed25519PrivateKey.generate(), story.uses.of(story.kept))
    with pytest.raises(SignatureError):
        Trust([public_key_text(KEY)], channel="stable", runtime="0.1.0").read_uses(signed)


def test_the_api_answers_the_person_alone(backend: Backend) -> None:  # noqa: F811
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip())
    path = endpoints.uses(ada.correction(a_clip()).sample_id)
    answer = ada.signed("GET", path)
    assert answer.status_code == 200
    trusted = load_signer(backend.home / "keys" / "release.key").trusted
    uses, models = verify_uses(trusted, SignedUses.from_bytes(answer.content))
    assert (uses.sample_id, models, uses.n_releases) == (ada.correction(a_clip()).sample_id, (), 0)
    assert reason(bob.signed("GET", path)) == (404, "sample-unknown")
    ada.signed("DELETE", endpoints.sample(uses.sample_id))
    assert ada.signed("GET", path).status_code == 200  # also about what she took back


def test_a_device_asks_keeps_the_answer_and_checks_it_again_without_the_server(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(FakeServer(key=KEY)) as server:
        home = tmp_path / "device"
        monkeypatch.setenv("PROJECTONE_HOME", str(home))
        monkeypatch.setenv("PROJECTONE_SERVER", server.url)
        monkeypatch.setenv("PROJECTONE_ENROLMENT_CODE", ENROLMENT_CODE)
        monkeypatch.setenv("PROJECTONE_RELEASE_KEY", public_key_text(KEY))
        with open_client(DeviceSettings(home=home, server=server.url, enrolment_code=ENROLMENT_CODE)) as client:
            client.grant("voice_donation", "cli")
            sample_id = client.donating.give(tone(), "the quick brown fox").sample_id
        assert run(capsys, "sync")[0] == 0
        server.uses = sign_uses(KEY, story.uses.of(story.kept))  # about another sample
        assert main(["consent", "proof", "--sample", "last"]) == 2
        assert "expected those of" in capsys.readouterr().err
        server.uses = sign_uses(KEY, story.uses.of(sample_id))
        code, facts = run(capsys, "consent", "proof", "--sample", "last", "--file", tmp_path / "proof.json")
    expected = {"1.2.0": False, "1.1.0": False, "1.0.0": False}
    assert (code, {model["version"]: model["has_learned"] for model in facts["models"]}) == (0, expected)
    assert [model["is_proved"] for model in facts["models"]] == [True, True, False]
    server.requests.clear()
    again = run(capsys, "consent", "proof", "--file", tmp_path / "proof.json")[1]
    assert (again["models"], server.requests) == (facts["models"], [])
    assert main(["consent", "proof", "--file", str(tmp_path / "proof.json")]) == 0
    assert "did not learn from it (proved)" in capsys.readouterr().out
    assert main(["consent", "proof"]) == 2
