"""Looks once an hour whether a model in use does differently than it did, and tells the people in charge.

It also closes weeks: small groups are put together or dropped, keys and digests that nobody needs any more go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from projectone.contracts.quality import estimated_shares
from projectone.contracts.questions import TITLES
from projectone.contracts.releases import line_of
from projectone.contracts.versions import Family
from projectone.server.database import Engine
from projectone.server.delivery.tickets import FOLDER, TicketKeys
from projectone.server.delivery.weekly_tickets import WeeklyTickets
from projectone.server.monitoring.drift import Drift
from projectone.server.monitoring.drift_desk import DriftDesk, ModelDrift, drift_shown
from projectone.server.monitoring.drift_pictures import bars, histogram_svg
from projectone.server.notifications.outbox import Message
from projectone.server.settings import ServerSettings
from projectone.storage.files import make_folder, write_atomically

INTERVAL: Final = timedelta(hours=1)
PICTURES: Final = "drift"
"""Below the server's home."""

_SUBJECT: Final[Mapping[Family, str]] = {
    "speech": "Model {} hears differently",
    "intents": "Classifier {} understands differently",
    "safety": "Safety classifier {} warns differently",
}
_OPTION: Final[Mapping[Family, str]] = {"speech": "", "intents": " --family intents", "safety": " --family safety"}


class DriftWatch:
    """Looks at one channel, all families of its models."""

    def __init__(
        self,
        desk: DriftDesk,
        tickets: WeeklyTickets,
        *,
        channel: str,
        pictures: Path,
        notify: Callable[[Message], object],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Join rows and messages.

        Args:
            desk: What devices said.
            tickets: Keys of weeks that are closed are destroyed.
            channel: Which channel is looked after.
            pictures: Folder for pictures of what moved.
            notify: Tells a human.
            clock: Now, with its zone.
        """
        self.desk = desk
        self._tickets = tickets
        self._channel = channel
        self._pictures = pictures
        self._notify = notify
        self._clock = clock
        self._looked_at: datetime | None = None

    def look_now_and_then(self) -> None:
        """`look`, if the last time was an hour ago."""
        now = self._clock()
        if self._looked_at is None or now - self._looked_at >= INTERVAL:
            self.look()
            self._looked_at = now

    def look(self) -> list[ModelDrift]:
        """Close weeks, judge, and tell once of each histogram of each model that moved.

        Raises:
            StorageError: if the disk or the database refused.
        """
        now = self._clock()
        self.desk.cells.settle(now)
        self._tickets.forget(now)
        found = self.desk.read()
        for model in found:
            for drift in model.watched.drifts:
                self._notify(self._message(model, drift))
        return found

    def _message(self, model: ModelDrift, drift: Drift) -> Message:
        found = drift.comparison
        line = line_of(model.family, self._channel)
        path = self._pictures / f"{line}-{model.version}-{found.histogram}.svg"
        make_folder(self._pictures)
        write_atomically(path, histogram_svg(found).encode())
        body = [
            drift_shown(drift),
            f"before  {bars(estimated_shares(found.before))}",
            f"now     {bars(estimated_shares(found.after))}",
            f"Picture: {path}, and on the console's page /drift.",
            "",
            "All of it:                     projectone-server drift",
            f"Go back to the model before:   projectone-server rollout rollback{_OPTION[model.family]}",
        ]
        subject = f"{_SUBJECT[model.family].format(model.version)}: {TITLES[found.histogram]}"
        key = f"drift-{line}-{model.version}-{found.histogram}"
        return Message(key=key, subject=subject, body="\n".join(body))


def open_drift_watch(settings: ServerSettings, engine: Engine, notify: Callable[[Message], object]) -> DriftWatch:
    """The watch over a home."""
    return DriftWatch(
        DriftDesk(engine, channel=settings.channel),
        WeeklyTickets(engine, TicketKeys(settings.keys_folder / FOLDER)),
        channel=settings.channel,
        pictures=settings.home / PICTURES,
        notify=notify,
    )
