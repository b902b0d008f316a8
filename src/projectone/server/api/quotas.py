"""How much one device, one address and everybody together may ask for in a minute."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

_WINDOW_S = 60.0
_MAX_KEYS = 10_000


@dataclass(frozen=True, kw_only=True)
class QuotaLimits:
    """Requests a minute.

    Attributes:
        device: Signed requests of one device.
        address: Requests from one network address, before anything about them is known.
        total: All requests.
        failed_enrolments: Wrong enrolment codes from one address.
    """

    device: int = 1_200
    address: int = 3_000
    total: int = 12_000
    failed_enrolments: int = 20


class MovingWindow:
    """Counts what happened in the last minute, by key; the oldest keys are forgotten first."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, *, is_counted: bool = True) -> float | None:
        """None if there is room (one more is then counted), else the seconds until there will be."""
        now = self._clock()
        with self._lock:
            moments = self._moments.setdefault(key, deque())
            self._moments.move_to_end(key)
            while len(self._moments) > _MAX_KEYS:
                self._moments.popitem(last=False)
            while moments and moments[0] <= now - _WINDOW_S:
                moments.popleft()
            if len(moments) >= self._limit:
                return moments[0] + _WINDOW_S - now
            if is_counted:
                moments.append(now)
            return None


class Quotas:
    """The windows of one API process."""

    def __init__(self, limits: QuotaLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        limits = limits or QuotaLimits()
        self.device = MovingWindow(limits.device, clock)
        self.address = MovingWindow(limits.address, clock)
        self.total = MovingWindow(limits.total, clock)
        self.failed_enrolments = MovingWindow(limits.failed_enrolments, clock)
