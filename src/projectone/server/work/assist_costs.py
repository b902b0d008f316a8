"""`projectone-server serve-assist costs`: who answered each tenant, what it cost, and how long it took."""

from __future__ import annotations

from typing import Any

from projectone.server.replicas.costs import COSTS, CostBook
from projectone.server.settings import ServerSettings


def costs(settings: ServerSettings, days: int, tenant: str | None) -> tuple[dict[str, Any], str]:
    """As facts, and for people.

    Raises:
        DataError: if there are not so many days.
        StorageError: if the rows cannot be read.
    """
    if not (settings.home / COSTS).is_dir():  # looking makes nothing
        return {"days": days, "edges_s": [], "tenants": []}, "no answers were counted here"
    facts = CostBook.in_home(settings.home).shown(days, tenants=None if tenant is None else [tenant])
    told = [line for each in facts["tenants"] for line in _told(each)]
    return facts, "\n".join(told) or f"no answers in {days} days"


def _told(found: dict[str, Any]) -> list[str]:
    name = found["tenant"]
    lines = [
        f"{name:20.20} {line['by']:9} {line['outcome']:12} {line['n']:6}  {line['prompt_tokens']:8} read"
        f" {line['answer_tokens']:8} written  {line['micros'] / 1e6:.4f}"
        for line in found["lines"]
    ]
    return lines + [
        f"{name:20.20} {by:9} half within {_within(times['p50_s'])}, 95 % within {_within(times['p95_s'])}"
        for by, times in found["times"].items()
    ]


def _within(seconds: float | None) -> str:
    return "more than 5 s" if seconds is None else f"{seconds:g} s"
