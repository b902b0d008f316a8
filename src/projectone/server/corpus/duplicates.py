"""Which samples say again what another one says. A later correction of a recording takes the earlier one's place."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

SUPERSEDED = "superseded"


class Corrected(Protocol):
    """A sample, as far as it matters here; `server.pipeline.ports.PipelineSample` is one."""

    @property
    def sample_id(self) -> str:
        """Names the sample."""

    @property
    def contributor_id(self) -> str:
        """Who sent it, as a pseudonym."""

    @property
    def recording_sha256(self) -> str:
        """Digest of the recording as the device sent it: the same for every correction of one recording."""

    @property
    def recorded_at(self) -> datetime:
        """When the text was given."""


def superseded(samples: Iterable[Corrected]) -> dict[str, str]:
    """Samples whose recording the same person corrected again later: their id to that of the newest.

    The newest text is the one its author stands by. Others' texts for the same sound are another matter: nobody speaks
    for somebody else.

    Args:
        samples: In the order in which they came; of two given at the same moment the later one counts.
    """
    newest: dict[tuple[str, str], Corrected] = {}
    kept = list(samples)
    for sample in kept:
        key = (sample.contributor_id, sample.recording_sha256)
        if key not in newest or sample.recorded_at >= newest[key].recorded_at:
            newest[key] = sample
    by_id = {s.sample_id: newest[s.contributor_id, s.recording_sha256].sample_id for s in kept}
    return {sample_id: newest_id for sample_id, newest_id in by_id.items() if sample_id != newest_id}
