"""A family of models as the worker sees it: which run is due, and which release has to go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Event

from projectone.server.corpus.caps import count_release
from projectone.server.corpus.recalls import Recall
from projectone.server.corpus.tables import SampleRow
from projectone.server.pipeline.ingest import read_batch
from projectone.server.pipeline.runner import Trainer
from projectone.server.pipeline.schedule import SchedulePolicy, Situation, due
from projectone.server.runs import RunRow
from projectone.server.work.run_ports import open_trainer
from projectone.server.work.workshop import Workshop

_NEVER = timedelta(days=365_000)


class Line:
    """One family.

    Args:
        workshop: Opened on the family's settings.
        trainer: Runs the family's runs.
    """

    def __init__(self, workshop: Workshop, trainer: Trainer) -> None:
        self.workshop = workshop
        self.trainer = trainer
        settings = workshop.settings
        self.family = settings.family
        self._policy = SchedulePolicy(
            min_new_samples=settings.min_new_samples,
            every=timedelta(days=settings.schedule_days) if settings.schedule_days > 0 else _NEVER,
            replace_ahead=timedelta(days=settings.retrain_days) / 2,
        )

    def next_run(self) -> RunRow | None:
        """The run to work on: one that was begun or asked for, or one that is due now."""
        runs = self.workshop.runs
        run = runs.next_due(self.family)
        if run is None:
            trigger = due(self._policy, self._situation())
            run = None if trigger is None else runs.request(trigger, self.family)
        return run

    def overdue(self) -> Recall | None:
        """The recalled model that no run has replaced in time."""
        recall = self.workshop.recalls.standing(self.workshop.settings.channel)
        if recall is None or (datetime.now(UTC) < recall.replace_by and not self._is_nothing_left()):
            return None
        return recall

    def _situation(self) -> Situation:
        workshop = self.workshop
        waiting = self._unasked(workshop.catalog.waiting(self.family))
        newest = [run for run in workshop.runs.newest(family=self.family) if run.state != "waiting"]
        fruitless = 0
        for run in newest:
            if run.state not in ("failed", "quarantined"):
                break
            fruitless += 1
        was_declined = bool(newest) and newest[0].state == "no-train"
        declined = read_batch(workshop.home, newest[0].run_id) if was_declined else frozenset()
        n_waiting = self._n_taken(waiting)
        recall = workshop.recalls.standing(workshop.settings.channel)
        return Situation(
            now=datetime.now(UTC),
            n_waiting=n_waiting,
            waiting_since=waiting[0].received_at if waiting else None,
            last_ended_at=newest[0].finished_at if newest else None,
            n_fruitless=fruitless,
            n_declined=n_waiting - self._n_taken([row for row in waiting if str(row.sample_id) not in declined]),
            replace_by=None if recall is None or self._is_nothing_left() else recall.replace_by,
        )

    def _unasked(self, rows: Sequence[SampleRow]) -> list[SampleRow]:
        """Samples that no run which waits for a person has learned from: the same again starts nothing by itself."""
        batches = (read_batch(self.workshop.home, item.question.run_id) for item in self.workshop.approvals.waiting())
        asked = frozenset[str]().union(*batches)
        return [row for row in rows if str(row.sample_id) not in asked]

    def _is_nothing_left(self) -> bool:
        """Whether the last run was to replace a recalled model and found nothing to train another one on."""
        newest = self.workshop.runs.newest(1, family=self.family)
        return bool(newest) and (newest[0].trigger, newest[0].state) == ("withdrawal", "no-data")

    def _n_taken(self, rows: Sequence[SampleRow]) -> int:
        """How many of these samples one run would take: whoever sends a thousand starts no train of runs."""
        used = self.workshop.catalog.used_of_each(self.family)
        return count_release((row.contributor_id for row in rows), used, self.workshop.caps)


def open_lines(workshop: Workshop, should_stop: Event) -> list[Line]:
    """The families that are trained on a server, speech first; `workshop` is speech's, the others are opened here."""
    others = [family for family in workshop.settings.families if family != workshop.settings.family]
    shops = [workshop, *(workshop.of_family(family) for family in others)]
    return [Line(shop, open_trainer(shop, should_stop)) for shop in shops]
