from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes import tiny_trainer
from tests.fakes.pipeline_ports import World

from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.errors import ConversionError
from projectone.server.pipeline.deploy import hand_out
from projectone.server.pipeline.ports import Deployment
from projectone.server.pipeline.state import DEPLOYMENT
from projectone.server.pipeline.tier_ports import TierModel, TierPorts
from projectone.server.pipeline.tiers import effect_of


def report(wer: float, name: str) -> EvaluationReport:
    return tiny_trainer.score_by(lambda _: wer)(name * 64)


class Shop:
    """Tiers whose packages are names and whose word errors are told."""

    def __init__(self, **wers: float) -> None:
        self.wers = wers
        self.released: TierModel | None = None
        self.dropped: list[str] = []
        self.made: list[str] = []
        self.compared: list[tuple[float, float, float]] = []

    def ports(self) -> TierPorts:
        return TierPorts(
            names=tuple(self.wers),
            package=self.package,
            score=lambda model: report(0.4 if model is self.released else self.wers[model.tier], "a"),
            released=lambda tier: self.released,
            judge=self.judge,
            drop=self.dropped.append,
        )

    def package(self, weights_sha256: str, tier: str) -> dict[str, Any]:
        self.made.append(tier)
        if self.wers[tier] < 0:
            raise ConversionError("the packages are not this model")
        return {"sha256": tier, "size_bytes": 1, "files": [], "updates": []}

    def judge(self, before: EvaluationReport, packed: EvaluationReport, own: EvaluationReport) -> Verdict:
        self.compared.append((before.wer.value, packed.wer.value, own.wer.value))
        return tiny_trainer.judge(before, packed)


def gate(before: EvaluationReport, after: EvaluationReport) -> Verdict:
    """The tiny judge, but for a few points of difference, which it takes for chance."""
    verdict = tiny_trainer.judge(before, after)
    return verdict if abs(verdict.gain) > 0.03 else verdict.model_copy(update={"decision": "hold"})


def handed_out(world: World, shop: Shop, **changes: Any) -> dict[str, Any]:
    deployment = replace(
        Deployment(
            run_id="run",
            weights_sha256="1" * 64,
            base_sha256="2" * 64,
            version="1.1.0",
            verdict=tiny_trainer.judge(report(0.5, "b"), report(0.3, "a")),
            report=report(0.3, "a"),
            production_report=report(0.5, "b"),
        ),
        **changes,
    )
    released: list[dict[str, Any]] = []

    def release(deployment: Deployment, registered: Any, package: Any) -> int:
        released.append(package)
        return 1

    hand_out(deployment, world.ports(tiers=shop.ports(), judge=gate, release=release))
    return dict(released[0]["tiers"])


@pytest.fixture
def world(tmp_path: Any) -> World:
    return World(tmp_path)


def test_a_tier_goes_out_if_its_own_numbers_are_better_than_what_its_devices_have(world: World) -> None:
    shop = Shop(int8=0.31, int4=0.315)
    assert set(handed_out(world, shop)) == {"int8", "int4"}
    assert shop.compared == [(0.5, 0.31, 0.3), (0.5, 0.315, 0.3)]
    kept = world.ports().find_effect("run", DEPLOYMENT, effect_of("int8"))
    assert kept is not None and kept["wer"] == 0.31
    assert kept["verdict"]["gain"] == pytest.approx(0.19) and kept["cost"]["gain"] == pytest.approx(-0.01)
    assert world.messages == {} and shop.dropped == []


def test_a_damaged_tier_is_left_out_and_the_others_go(world: World) -> None:
    shop = Shop(int8=0.45, int4=0.31)  # int8 is better than production still, and much worse than the model itself
    assert set(handed_out(world, shop)) == {"int4"}
    (message,) = world.messages.values()
    assert "tier int8 is not released" in message.subject
    assert "fewer bits damage it" in message.body
    assert shop.dropped == ["int8"]


def test_a_loss_that_may_be_chance_but_may_be_large_is_too_much(world: World) -> None:
    assert handed_out(world, Shop(int8=0.325)) == {}
    assert "may cost 2.5% of its words" in world.messages["run-tier-int8"].body


def test_a_tier_is_compared_with_what_its_devices_have_and_not_with_the_default(world: World) -> None:
    shop = Shop(int8=0.31)
    shop.released = TierModel("int8", "3" * 64, "old")
    handed_out(world, shop)
    assert shop.compared == [(0.4, 0.31, 0.3)]


def test_a_tier_that_shows_no_gain_keeps_its_older_model(world: World) -> None:
    shop = Shop(int8=0.31)
    assert handed_out(world, shop, production_report=report(0.30, "b")) == {}
    assert "reject" in world.messages["run-tier-int8"].body


def test_what_a_person_let_out_unproven_goes_out_in_every_form_that_is_not_worse(world: World) -> None:
    held = Verdict(decision="hold", reasons=("approved by a person",), gain=0, gain_low=-1, gain_high=1)
    same = report(0.31, "b")
    shop = Shop(int8=0.31)
    assert set(handed_out(world, shop, verdict=held, production_report=same)) == {"int8"}
    assert handed_out(World(world.home / "other"), Shop(int8=0.31), production_report=same) == {}


def test_a_model_released_as_it_is_is_compared_with_itself(world: World) -> None:
    shop = Shop(int8=0.30, int4=0.9)
    assert set(handed_out(world, shop, verdict=None, production_report=None)) == {"int8"}
    assert shop.compared[0] == (0.3, 0.3, 0.3)


def test_a_tier_that_cannot_be_made_is_told_and_costs_nobody_else_the_release(world: World) -> None:
    shop = Shop(int8=-1.0, int4=0.31)
    assert set(handed_out(world, shop)) == {"int4"}
    assert "could not be made" in world.messages["run-tier-int8"].body


def test_a_repeated_deployment_makes_and_judges_nothing_again(world: World) -> None:
    shop = Shop(int8=0.31)
    first = handed_out(world, shop)
    assert handed_out(world, shop) == first
    assert shop.made == ["int8"]
