"""What the routes need from the other rooms, in one frozen value that `serve` fills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from fastapi import Request

from projectone.contracts.erasures import SignedErasure
from projectone.contracts.uses import SignedUses
from projectone.server.api.bodies import BodyRoom
from projectone.server.api.quotas import Quotas
from projectone.server.approvals import Approvals
from projectone.server.audit import AuditLog
from projectone.server.conversion.hub_events import HubEvents
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clusters import Clusters
from projectone.server.corpus.intake import Intake
from projectone.server.corpus.review import Reviews
from projectone.server.delivery.elsewhere import Elsewhere, nowhere
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.tickets import Tickets
from projectone.server.delivery.weekly_tickets import WeeklyTickets
from projectone.server.devices.catalog import DeviceCatalog
from projectone.server.devices.operators import OperatorTokens
from projectone.server.monitoring.quality import QualityCells
from projectone.server.monitoring.reports import HealthReports
from projectone.server.runs import Runs
from projectone.storage.blobs import FileBlobs
from projectone.storage.room import DiskRoom


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything behind the API.

    Attributes:
        catalog: Consents and samples.
        blobs: The samples' clips.
        devices: Who may sign.
        clusters: Who became known together.
        intake: Takes a sample in.
        ledger: What is released.
        packages: The released zips.
        elsewhere: Where a released zip can be fetched besides.
        signed: Folder with the signed metadata of releases, and what it lists.
        staging: Folder on the disk for bodies on their way in that find no room in memory; nothing stays there.
        room: Whether the disk has room for more.
        enrolment_code: What a new device has to show.
        clock: Now, with its zone.
        erase_derived: Removes what was made from withdrawn samples; safe to repeat.
        erasure: What is signed about a person's withdrawn consent; None if they gave no such consent.
        uses: What is signed about the models that learned from a sample.
        scripts: The signed sheet of sentences to read aloud, as it is sent; None before there is one.
        policies: The signed set of approved policies, as it is sent; None before there is one.
        checkpoint: What was last signed of the audit log, as it is sent; None before the first.
        operators: Tokens of those who look after the server.
        reviews: What waits for a person.
        runs: What is trained.
        approvals: What waits for a person before it is released.
        audit: What was done.
        tickets: Lets a device report on a release, once.
        health: What devices reported.
        weekly_tickets: Lets a device say one thing a week.
        quality: The sums of what devices said.
        hub_events: Takes what the Hub's webhook says; None where none is set up.
        quotas: How much anybody may ask for.
        bodies: How much of what is on its way in lies in memory.
    """

    catalog: Catalog
    blobs: FileBlobs
    devices: DeviceCatalog
    clusters: Clusters
    intake: Intake
    ledger: Ledger
    packages: FileBlobs
    signed: Path
    staging: Path
    room: DiskRoom
    enrolment_code: str = field(repr=False)
    operators: OperatorTokens
    reviews: Reviews
    runs: Runs
    approvals: Approvals
    audit: AuditLog
    tickets: Tickets
    health: HealthReports
    weekly_tickets: WeeklyTickets
    quality: QualityCells
    clock: Callable[[], datetime]
    erase_derived: Callable[[], object]
    erasure: Callable[[UUID, str], SignedErasure | None]
    uses: Callable[[UUID], SignedUses]
    elsewhere: Elsewhere = nowhere
    scripts: Callable[[], bytes | None] = lambda: None
    policies: Callable[[], bytes | None] = lambda: None
    checkpoint: Callable[[], bytes | None] = lambda: None
    hub_events: HubEvents | None = None
    quotas: Quotas = field(default_factory=Quotas)
    bodies: BodyRoom = field(default_factory=BodyRoom)


def services_of(request: Request) -> Services:
    """The services behind the application that answers this request."""
    services: Services = request.app.state.services
    return services
