"""A job on a Ray cluster: done again, and gone on with, wherever a machine of it goes.

Ray starts a task anew when its process or its machine is gone. A job goes on from its folders, so they lie where every
machine of the cluster sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from projectone.errors import ProjectOneError, SettingsError, StageError
from projectone.server.settings import ServerSettings
from projectone.server.work.resumable import EXIT_AGAIN, run_job

LOCAL: Final = "local"
_STORE_BYTES: Final = 80 * 2**20


def run_on_ray(
    address: str, words: Sequence[str], result: Path, settings: ServerSettings, *, n_cpus: float = 1.0
) -> int:
    """Do the work on some machine of the cluster until it is done; gives its exit code.

    Args:
        address: ``local``, ``auto`` for the cluster that this machine is part of, or ``ray://HOST:PORT``.
        words: Of the work, as `resumable.resumed` gives them.
        result: Where what it prints is kept; a path that every machine sees.
        settings: Of this server.
        n_cpus: That the work takes.

    Raises:
        SettingsError: if Ray is not installed.
        StageError: if the work failed, or the cluster is gone.
    """
    try:
        import ray  # only here: whoever does not use it does not have it
        from ray.exceptions import RayError
    except ImportError as error:
        raise SettingsError("--ray: expected Ray to be installed; install projectone[ray]") from error
    is_ours = not ray.is_initialized()
    if is_ours:
        options: dict[str, Any] = {"address": address}
        if address == LOCAL:
            options = {
                "include_dashboard": False,
                "object_store_memory": _STORE_BYTES,
                "_node_ip_address": "127.0.0.1",
            }
        ray.init(log_to_driver=False, **options)
    try:
        # Without end: a machine that is taken away is nobody's fault. What raises is not tried again.
        work = ray.remote(num_cpus=n_cpus, max_retries=-1)(_there)
        # What no work needs stays here: it would lie in the memory of the cluster.
        known = replace(settings, enrolment_code="", keys_database_url="")
        code, problem = EXIT_AGAIN, ""
        while code == EXIT_AGAIN:
            code, problem = ray.get(work.remote(list(words), str(result), known))
    except RayError as error:
        raise StageError(f"job on Ray: {str(error).splitlines()[-1]}") from error
    finally:
        if is_ours:
            ray.shutdown()
    if problem:
        raise StageError(f"job on Ray: {problem}")
    return int(code)


def _there(words: list[str], result: str, settings: ServerSettings) -> tuple[int, str]:
    """On the machine that does it: the exit code, and what went wrong in words, for a pickled exception is code."""
    try:
        return run_job(words, Path(result), settings), ""
    except ProjectOneError as error:
        return 2, str(error)
