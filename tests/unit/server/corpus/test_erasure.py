"""A receipt names every model that learned from what was erased, and no other."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from tests.unit.server.corpus.conftest import START, Corpus

from projectone.contracts.releases import ReleaseManifest
from projectone.server.corpus.datasets import DatasetItem, seal_dataset
from projectone.server.corpus.erasure import Erasures, learned_releases
from projectone.server.corpus.recalls import Recalls
from projectone.server.corpus.retention import withdraw
from projectone.server.database import Engine, open_engine
from projectone.server.runs import Runs


def manifest(seq: int, *, weights: int | None = None, channel: str = "stable") -> ReleaseManifest:
    return ReleaseManifest(
        channel=channel,
        seq=seq,
        version=f"1.{seq}.0",
        repo_id="acme/whisper",
        commit="0" * 40,
        base_sha256="0" * 64,
        weights_sha256=f"{seq if weights is None else weights:064x}",
        package_sha256="0" * 64,
        package_size_bytes=1,
        files=(),
        created_at=START + timedelta(days=seq),
        expires_at=START + timedelta(days=seq + 90),
    )


def test_a_release_is_replaced_by_the_next_of_its_channel_that_did_not_learn() -> None:
    releases = [
        ("a", manifest(1)),
        ("b", manifest(2)),
        ("beta", manifest(1, weights=9, channel="beta")),
        ("c", manifest(3)),
        ("d", manifest(4)),
    ]
    found = learned_releases(releases, {"b", "c", "beta"}, {"c": START})
    assert [(item.channel, item.version, item.replaced_by) for item in found] == [
        ("stable", "1.2.0", "1.4.0"),
        ("beta", "1.1.0", None),
        ("stable", "1.3.0", "1.4.0"),
    ]
    assert found[0].replaced_at == START + timedelta(days=4)
    assert [item.replace_by for item in found] == [None, None, START]


def test_going_back_to_a_model_that_learned_is_no_replacement() -> None:
    releases = [("a", manifest(1)), ("b", manifest(2)), ("rollback", manifest(3, weights=1))]
    found = learned_releases(releases, {"a", "b"}, {})
    assert [(item.version, item.replaced_by) for item in found] == [("1.1.0", None), ("1.2.0", None), ("1.3.0", None)]


@pytest.fixture
def engine(corpus: Corpus) -> Engine:
    return open_engine(f"sqlite:///{corpus.blobs.folder.parent}/rows.sqlite")


@pytest.mark.parametrize("seed", range(4))
def test_25_people_who_withdraw_at_any_time_each_learn_of_exactly_their_models(
    corpus: Corpus, engine: Engine, seed: int
) -> None:
    rng = random.Random(seed)
    runs, releases = Runs(engine), []
    people = [f"p{number}" for number in range(25)]
    learned: dict[str, set[str]] = {person: set() for person in people}
    recalls = Recalls(engine, runs, releases=lambda: releases, retrain=timedelta(days=9))
    erasures = Erasures(
        engine,
        runs,
        corpus.blobs,
        releases=lambda: releases,
        dates=recalls.dates,
        clock=lambda: datetime.now(UTC),
    )
    left, gone = list(people), []
    for person in people:
        corpus.send(person, seed=people.index(person))
    while left:
        if rng.random() < 0.5:
            rows = [row for row in corpus.catalog.usable() if rng.random() < 0.7]
            if rows:
                items = [
                    DatasetItem(
                        sample_id=str(row.sample_id),
                        clip_sha256=row.clip_sha256,
                        text=row.text,
                        speaker=row.contributor_id,
                        duration_s=row.duration_s,
                        is_new=True,
                    )
                    for row in rows
                ]
                sealed = seal_dataset(corpus.catalog, corpus.blobs, items)
                run_id = runs.request("on-demand").run_id
                is_released = rng.random() < 0.6
                state = "succeeded" if is_released else "quarantined"
                runs.finish(run_id, state, guard=lambda connection: None, dataset_sha256=sealed.sha256)
                if is_released:
                    releases.append((run_id, manifest(len(releases) + 1)))
                    for row in rows:
                        learned[row.contributor_id].add(releases[-1][1].version)
        else:
            person = left.pop(rng.randrange(len(left)))
            gone.append(person)
            withdraw(corpus.catalog, corpus.blobs, corpus.consent(person), contributor_id=person, now=datetime.now(UTC))
            recalls.mark()
    assert len(gone) == 25
    for person in gone:
        receipt = erasures.receipt(corpus.consent(person), person)
        assert receipt is not None
        assert (receipt.n_samples, receipt.is_complete) == (1, True)
        assert {release.version for release in receipt.releases} == learned[person]
        replace_by = receipt.withdrawn_at + timedelta(days=9)
        assert {release.replace_by for release in receipt.releases} == ({replace_by} if learned[person] else set())
    assert sum(map(len, learned.values())) > 0
    assert erasures.receipt(uuid4(), people[0]) is None
