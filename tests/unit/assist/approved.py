"""A small set of approved policies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from projectone.contracts.policies import Policy, PolicyResponse, PolicySet, PolicyThreshold

AT = datetime(2026, 11, 1, tzinfo=UTC)
EMBEDDER = "hashing-384"


def policy(name: str, examples: Sequence[str], intents: Sequence[str] = (), **answers: str) -> Policy:
    responses = [PolicyResponse(response_id=f"{name}-1", text=f"About {name}.")]
    for when, text in answers.items():
        responses.append(PolicyResponse.model_validate({"response_id": f"{name}-{when}", "text": text, "when": when}))
    return Policy(
        policy_id=name,
        version=2,
        text=f"What to do about {name}.",
        examples=tuple(examples),
        intents=tuple(intents),
        responses=tuple(responses),
        approved_by="ada",
        approved_at=AT,
    )


def approved(*, distance: float | None = 0.6, version: int = 1) -> PolicySet:
    thresholds = (
        ()
        if distance is None
        else (PolicyThreshold(embedder=EMBEDDER, distance=distance, answered=1, n_of_policies=1, n_of_none=0),)
    )
    return PolicySet(
        version=version,
        made_at=AT,
        thresholds=thresholds,
        policies=(
            policy("card", ["i lost my card", "my card was stolen"], ["report_lost_card"], again="Again the card."),
            policy("weather", ["how warm is it", "will it rain"], ["weather"], first="First the weather."),
        ),
        otherwise=PolicyResponse(response_id="otherwise", text="I do not know."),
        unsafe=PolicyResponse(response_id="unsafe", text="I do not answer that."),
    )
