"""Work that takes longer than a request: it goes on while the page shows how far it is."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from projectone.errors import ProjectOneError, error_document

Report = Callable[[int, int, str], None]
"""Called with what is done, what there is to do (0 where nobody knows), and what is being done."""
Work = Callable[[Report], Mapping[str, Any]]

_KEPT = 50
_log = logging.getLogger(__name__)


@dataclass
class Job:
    """One piece of work and how far it is."""

    job_id: str
    kind: str
    state: Literal["running", "done", "failed", "stopped"] = "running"
    done: int = 0
    total: int = 0
    what: str = ""
    result: Mapping[str, Any] | None = None
    error: Mapping[str, str] | None = None
    ended: threading.Event = field(default_factory=threading.Event, repr=False)
    is_to_stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def document(self) -> dict[str, Any]:
        """What a page is told."""
        return {
            "id": self.job_id,
            "kind": self.kind,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "what": self.what,
            "result": self.result,
            "error": self.error,
        }


class _StoppedError(Exception):
    """The person said stop; raised where the work reports how far it is."""


class Jobs:
    """The jobs of one process, each on a thread of its own. What they did lies in the rooms, not here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def start(self, kind: str, work: Work, *, is_alone: bool = True) -> Job:
        """Begin `work`, or give the job of this kind that is already running.

        Args:
            kind: What it is, such as ``"sync"``.
            work: Gives facts for the page. What it raises of ours becomes the job's error.
            is_alone: Whether two of this kind at once make no sense.
        """
        with self._lock:
            running = [job for job in self._jobs.values() if job.kind == kind and job.state == "running"]
            if is_alone and running:
                return running[0]
            job = Job(secrets.token_urlsafe(12), kind)
            self._jobs[job.job_id] = job
            for old in [item for item in self._jobs.values() if item.state != "running"][:-_KEPT]:
                del self._jobs[old.job_id]
        threading.Thread(target=self._run, args=(job, work), name=f"projectone-{kind}", daemon=True).start()
        return job

    def find(self, job_id: str) -> Job | None:
        """The job with this id, if it is still known."""
        with self._lock:
            return self._jobs.get(job_id)

    def stop(self, job_id: str) -> Job | None:
        """Have a job end the next time it reports. What it did until then lies in the rooms."""
        job = self.find(job_id)
        if job is not None:
            job.is_to_stop.set()
        return job

    def close(self, timeout_s: float) -> bool:
        """Wait for what runs; False if something still does. Every kind of work here survives being cut off."""
        with self._lock:
            running = [job for job in self._jobs.values() if job.state == "running"]
        return all([job.ended.wait(timeout_s) for job in running])

    def _run(self, job: Job, work: Work) -> None:
        def report(done: int, total: int, what: str) -> None:
            job.done, job.total, job.what = done, total, what
            if job.is_to_stop.is_set():
                raise _StoppedError

        try:
            job.result = work(report)
            job.state = "done"
        except _StoppedError:
            job.state = "stopped"
        except ProjectOneError as error:
            job.error = error_document(error)["error"]
            job.state = "failed"
        except Exception:
            _log.exception("job %s failed", job.kind)
            job.error = {"kind": "internal", "message": "Something went wrong here. The terminal shows more."}
            job.state = "failed"
        finally:
            job.ended.set()
