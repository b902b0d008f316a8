"""How many replicas of a model there are, and how much each takes at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from projectone.server.replicas.models import Kind


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """Of one kind of model.

    Attributes:
        min_replicas: These are always there and warm; 0 lets the first question of a quiet time wait for a start.
        max_replicas: As many as load may call for.
        target_ongoing: Questions under way in a replica at which another one is wanted.
        max_ongoing: Questions that a replica takes at once; more wait.
        max_queued: Questions that wait at whoever asks; more are told to come again.
        max_batch: Questions that are computed together; 1 for none.
        batch_wait_s: How long the first of a batch waits for others.
        upscale_delay_s: How long the load must last until replicas are added.
        downscale_delay_s: How long it must be gone until replicas end.
        n_cpus: Of a replica.
    """

    min_replicas: int = 1
    max_replicas: int = 2
    target_ongoing: float = 4.0
    max_ongoing: int = 16
    max_queued: int = 1_000
    max_batch: int = 16
    batch_wait_s: float = 0.004
    upscale_delay_s: float = 10.0
    downscale_delay_s: float = 300.0
    n_cpus: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_replicas <= self.max_replicas or self.max_replicas < 1:
            raise ValueError(f"replicas: expected 0 <= min <= max, got {self.min_replicas} and {self.max_replicas}")
        if self.target_ongoing <= 0 or min(self.max_ongoing, self.max_batch, self.max_queued) < 1:
            raise ValueError("target_ongoing, max_ongoing, max_batch, max_queued: expected more than 0")
        if min(self.batch_wait_s, self.upscale_delay_s, self.downscale_delay_s, self.n_cpus) < 0:
            raise ValueError("seconds and CPUs: expected 0 or more")

    def deployment(self) -> dict[str, Any]:
        """As Ray Serve wants it."""
        return {
            "autoscaling_config": {
                "min_replicas": self.min_replicas,
                "max_replicas": self.max_replicas,
                "target_ongoing_requests": self.target_ongoing,
                "upscale_delay_s": self.upscale_delay_s,
                "downscale_delay_s": self.downscale_delay_s,
                "metrics_interval_s": 0.5,
                "look_back_period_s": max(1.0, min(30.0, self.upscale_delay_s)),
            },
            "max_ongoing_requests": self.max_ongoing,
            "max_queued_requests": self.max_queued,
            "ray_actor_options": {"num_cpus": self.n_cpus},
            "health_check_period_s": 2,
            "health_check_timeout_s": 30,
            "graceful_shutdown_timeout_s": 30,
        }


# Texts are short and many: they are computed together. A language model writes, and a recording is heard, one by one.
SIZINGS: Final[dict[Kind, Sizing]] = {
    "classify": Sizing(),
    "embed": Sizing(),
    "generate": Sizing(max_batch=1, target_ongoing=1.0, max_ongoing=2),
    "transcribe": Sizing(max_batch=1, target_ongoing=1.0, max_ongoing=2),
}
