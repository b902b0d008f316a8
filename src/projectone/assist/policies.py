"""Which approved policy a text falls under: the one whose example is nearest, unless even that is too far away.

"No policy applies" is an answer. How far is too far was measured for each embedder, and stands in the set.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from projectone.assist.calibration import choose_threshold
from projectone.assist.protocols import Vectors
from projectone.assist.vectors.matrix import MatrixVectors
from projectone.assist.vectors.protocol import Item, Owner
from projectone.contracts.policies import Policy, PolicySet, PolicyThreshold

Embed = Callable[[Sequence[str]], Vectors]

_EVERYBODYS: Final = Owner.shared("policies")
_AGES: Final = datetime(2000, 1, 1, tzinfo=UTC)  # nothing in a set runs out


@dataclass(frozen=True)
class PolicyMatch:
    """The policy whose example is nearest to a text.

    Attributes:
        policy_id: Its name.
        version: Of the policy.
        distance: One minus the cosine to that example; None where an intent led to the policy and another is nearer.
        threshold: Up to which distance a policy applies; None where none was measured.
    """

    policy_id: str
    version: int
    distance: float | None
    threshold: float | None

    @property
    def applies(self) -> bool:
        """Whether it is near enough."""
        return self.distance is not None and self.threshold is not None and self.distance <= self.threshold

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "policy_id": self.policy_id,
            "version": self.version,
            "distance": None if self.distance is None else round(self.distance, 4),
            "threshold": self.threshold,
        }


class Policies:
    """A set of approved policies, to be looked up by intent or by text.

    Args:
        approved: The set; whoever reads it from a file has checked its signature.
        embed: Texts to vectors.
        embedded_by: The embedder's name: a threshold of another one says nothing here.
    """

    def __init__(self, approved: PolicySet, embed: Embed, *, embedded_by: str) -> None:
        self.approved = approved
        self.threshold = approved.threshold_of(embedded_by)
        self._embed = embed
        self._by_intent = {intent: policy for policy in approved.policies for intent in policy.intents}
        self._of_example: dict[uuid.UUID, Policy] = {}
        self._examples: MatrixVectors | None = None
        if self.threshold is not None:
            self._examples = self._placed(embed)

    def policy(self, policy_id: str) -> Policy:
        """The policy of this name, which a match gave."""
        return next(policy for policy in self.approved.policies if policy.policy_id == policy_id)

    def of_intent(self, intent: str | None) -> Policy | None:
        """The policy for what a classifier understood; None if there is none."""
        return None if intent is None else self._by_intent.get(intent)

    def closest(self, text: str) -> PolicyMatch | None:
        """The policy with the nearest example, near enough or not.

        None where nothing can be compared: no threshold was measured for this embedder, or the text says nothing.
        """
        vector = self._embed([text])[0]
        if self._examples is None or self.threshold is None or not self._of_example or not vector.any():
            return None
        (hit,) = self._examples.nearest(vector, _EVERYBODYS, 1, _AGES)
        policy = self._of_example[hit.id]
        return PolicyMatch(policy.policy_id, policy.version, hit.distance, self.threshold.distance)

    def nearest(self, text: str) -> PolicyMatch | None:
        """The policy that applies to a text; None if no policy applies."""
        match = self.closest(text)
        return match if match is not None and match.applies else None

    def _placed(self, embed: Embed) -> MatrixVectors:
        """Every example's vector, in a store of their own."""
        items = []
        for policy in self.approved.policies:
            for number, vector in enumerate(embed(policy.examples)):
                # Named by place: what is equally far is always found in the same order.
                name = uuid.uuid5(uuid.NAMESPACE_OID, f"{policy.policy_id} {number}")
                if vector.any():
                    self._of_example[name] = policy
                    items.append(Item(name, _EVERYBODYS, vector, None, "example"))
        store = MatrixVectors(width=len(items[0].vector) if items else 1)
        store.put(items)
        return store


def measure_threshold(
    approved: PolicySet, embed: Embed, embedded_by: str, rows: Sequence[tuple[str, str | None]]
) -> PolicyThreshold:
    """Up to which distance a policy should apply: where most texts find theirs and most of the others find none.

    Args:
        approved: The policies; thresholds that are in the set count for nothing.
        embed: Texts to vectors.
        embedded_by: The embedder's name.
        rows: Texts that are no examples, each with the id or an intent of its policy, or None where none applies. An
            intent that no policy is for is one where none applies (`without_policy` counts them).

    Raises:
        ValueError: if no text belongs to a policy.
    """
    open_wide = PolicyThreshold(embedder=embedded_by, distance=2, answered=0, n_of_policies=1, n_of_none=0)
    policies = Policies(approved.model_copy(update={"thresholds": (open_wide,)}), embed, embedded_by=embedded_by)
    owner_of = _owners(approved)
    owners = [None if label is None else owner_of.get(label) for _, label in rows]
    if not any(owners):
        others = "".join(f", such as {label!r:.60}" for label in list(without_policy(approved, rows))[:1])
        raise ValueError(f"label: expected lines with a policy or an intent of one, got only others{others}")
    matches = [policies.closest(text) for text, _ in rows]
    fits = np.array([-1.0 if match is None or match.distance is None else 1 - match.distance for match in matches])
    is_right = [
        match is not None and owner is not None and match.policy_id == owner
        for match, owner in zip(matches, owners, strict=True)
    ]
    chosen = choose_threshold(fits, is_right, [owner is not None for owner in owners])
    return PolicyThreshold(
        embedder=embedded_by,
        distance=float(np.clip(1 - chosen.value, 0, 2)),
        answered=chosen.in_scope_accuracy,
        refused=chosen.out_of_scope_recall,
        n_of_policies=chosen.n_in_scope,
        n_of_none=chosen.n_out_of_scope,
    )


def without_policy(approved: PolicySet, rows: Sequence[tuple[str, str | None]]) -> dict[str, int]:
    """How many texts there are of each label that no policy is for, the most first."""
    owner_of = _owners(approved)
    return dict(Counter(label for _, label in rows if label is not None and label not in owner_of).most_common())


def _owners(approved: PolicySet) -> Mapping[str, str]:
    """The policy that goes by each name: its id, or one of its intents."""
    owner_of = {policy.policy_id: policy.policy_id for policy in approved.policies}
    return owner_of | {intent: policy.policy_id for policy in approved.policies for intent in policy.intents}
