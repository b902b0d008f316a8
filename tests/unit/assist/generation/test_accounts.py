"""What answers cost each tenant, and no more than was agreed to."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.generators import Piecewise, Scripted, asked, failing

from projectone.assist.generation.accounts import (
    ANSWERS_ACCOUNTS,
    AccountedGenerator,
    AccountLine,
    Accounts,
    Budget,
    BudgetedGenerator,
    Times,
)
from projectone.assist.generation.fallback import FallbackGenerator
from projectone.assist.generation.protocol import Answer, Cost, GenerationError, GenerationRequest
from projectone.assist.generation.templates import TemplateGenerator
from projectone.assist.generation.wordings import WORDINGS
from projectone.assist.vectors.protocol import Owner
from projectone.storage.database import Database

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OTHER = Owner("office", "ben")


class Billed(Scripted):
    """Reads 10 tokens and writes 4, at a hundred micros each."""

    def generate(self, request: GenerationRequest) -> Answer:
        answer = super().generate(request)
        return Answer(text=answer.text, by="hosted", model_version="1", seed=0, took_s=0.3, cost=Cost(10, 4, 1_400))


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(Database(tmp_path / "rows.sqlite", (ANSWERS_ACCOUNTS,)))


def budgeted(accounts: Accounts, inner: Scripted, **budget: int) -> BudgetedGenerator:
    return BudgetedGenerator(
        inner,
        accounts,
        Budget(**budget),
        cost=lambda read, written: Cost(read, written, 100 * (read + written)),
        clock=lambda: NOW,
    )


def test_every_answer_and_every_failure_is_counted_for_its_tenant_alone(accounts: Accounts) -> None:
    chain = FallbackGenerator([Billed("yes", failing("rate-limited"))], TemplateGenerator(WORDINGS))
    counted = AccountedGenerator(chain, accounts, clock=lambda: NOW)
    counted.generate(asked())
    list(counted.stream(asked()))
    counted.generate(asked(owner=OTHER))
    assert accounts.lines("home", date(2026, 1, 1)) == [
        AccountLine("hosted", "answered", 1, 10, 4, 1_400),
        AccountLine("scripted", "rate-limited", 1, 0, 0, 0),
        AccountLine("template", "answered", 1, 0, 0, 0),
    ]
    assert [line.by for line in accounts.lines("office", date(2026, 1, 1))] == ["scripted", "template"]
    assert set(accounts.times("home", date(2026, 1, 1))) == {"hosted", "template"}
    assert accounts.lines("home", date(2026, 1, 2)) == []
    accounts.forget("home")
    assert accounts.lines("home", date(2026, 1, 1)) == [] != accounts.lines("office", date(2026, 1, 1))


def test_times_fall_into_classes() -> None:
    times = Times((0, 50, 0, 45, 0, 4, 0, 1))
    assert (times.at_most_s(0.5), times.at_most_s(0.95), times.at_most_s(0.99)) == (0.1, 0.5, 2.0)
    assert times.at_most_s(1.0) is None  # one took longer than any edge
    assert Times((0,) * 8).at_most_s(0.5) is None


def test_counts_go_after_four_hundred_days(accounts: Accounts) -> None:
    answer = Answer(text="x", by="local", model_version="1", seed=0)
    accounts.note("home", answer, NOW)
    accounts.note("home", answer, NOW + timedelta(days=401))
    assert [line.n for line in accounts.lines("home", date(2000, 1, 1))] == [1]


def test_what_was_not_spent_is_given_back_and_the_day_has_an_end(accounts: Accounts) -> None:
    # 4 tokens in "how warm is it", 10 may be written: 1,400 are set aside for each.
    paid = budgeted(accounts, Billed("yes"), micros=3_000)
    request = asked(max_tokens=10)
    reasons = []
    for _ in range(3):
        try:
            reasons.append(paid.generate(request).text)
        except GenerationError as error:
            reasons.append(error.reason)
    assert reasons == ["yes", "yes", "over-budget"]
    assert accounts.spent("home", NOW) == (2, 2_800)
    assert accounts.spent("home", NOW + timedelta(days=1)) == (0, 0)
    assert paid.generate(asked(owner=OTHER, max_tokens=10)).text == "yes"  # another tenant has a day of its own


@pytest.mark.parametrize(
    ("reason", "spent"),
    [("rate-limited", (0, 0)), ("no-consent", (0, 0)), ("timeout", (1, 1_400)), ("cut", (1, 1_400))],
)
def test_what_may_have_been_billed_counts_as_spent(accounts: Accounts, reason: str, spent: tuple[int, int]) -> None:
    with pytest.raises(GenerationError):
        budgeted(accounts, Billed(failing(reason))).generate(asked(max_tokens=10))
    assert accounts.spent("home", NOW) == spent


def test_a_stream_is_paid_as_an_answer_is(accounts: Accounts) -> None:
    *_, answer = budgeted(accounts, Piecewise(["y"], "y"), micros=3_000).stream(asked(max_tokens=10))
    assert isinstance(answer, Answer) and accounts.spent("home", NOW) == (1, 0)
    with pytest.raises(GenerationError):
        list(budgeted(accounts, Piecewise(["y"], failing("cut"))).stream(asked(max_tokens=10)))
    assert accounts.spent("home", NOW) == (2, 1_400)


def test_requests_of_a_day_have_an_end_too(accounts: Accounts) -> None:
    paid = budgeted(accounts, Billed("yes"), requests=1)
    paid.generate(asked())
    with pytest.raises(GenerationError) as caught:
        paid.generate(asked())
    assert caught.value.reason == "over-budget"


def test_many_at_once_do_not_spend_the_same_rest(accounts: Accounts) -> None:
    paid = budgeted(accounts, Billed("yes"), requests=5)
    answered: list[str] = []

    def ask() -> None:
        try:
            answered.append(paid.generate(asked()).text)
        except GenerationError:
            return

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answered) == 5


def test_a_ledger_that_cannot_be_written_spends_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "rows.sqlite", (ANSWERS_ACCOUNTS,))
    database.execute("DROP TABLE answers_spent")
    inner = Billed("yes")
    with pytest.raises(GenerationError) as caught:
        budgeted(Accounts(database), inner).generate(asked())
    assert (caught.value.reason, inner.requests) == ("over-budget", [])
    database.execute("DROP TABLE answers_accounts")
    counted = AccountedGenerator(Billed("yes"), Accounts(database), clock=lambda: NOW)
    assert counted.generate(asked()).text == "yes"  # what cannot be counted is answered all the same


def test_a_budget_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 or more"):
        Budget(micros=-1)
