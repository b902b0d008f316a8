"""The first answer: one of an approved set, chosen on this machine, with a reason that a person can read.

In this order: what the safety check raises its hand at gets the answer that is approved for that. What the classifier
understood gets the policy for it. What it did not understand gets the policy with the nearest example, if one is near
enough. Everything else gets the answer for "no policy applies". Among the answers of a policy memory decides: some are
for those who said such a thing before, some for those who did not. The same text, set and memory give the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from projectone.assist.memory import Recalled
from projectone.assist.policies import Policies, PolicyMatch
from projectone.assist.protocols import Classifier, Judgement
from projectone.assist.vectors.protocol import Owner
from projectone.contracts.assist import sure_shown
from projectone.contracts.policies import Policy, PolicyResponse

Kind = Literal["intent", "intent-again", "example", "example-again", "otherwise", "unsafe"]
Recall = Callable[[Owner, str, int, datetime], Sequence[Recalled]]

_KINDS: Final[dict[tuple[bool, bool], Kind]] = {
    (True, False): "intent",
    (True, True): "intent-again",
    (False, False): "example",
    (False, True): "example-again",
}
"""By whether the intent was understood, and whether such a thing was said before."""

_N_MEMORIES: Final = 5
_SAME: Final = 0.35
"""Up to this distance two sentences say such a thing, where no threshold was measured."""


@dataclass(frozen=True)
class Choice:
    """The answer that was chosen, and why.

    Attributes:
        response_id: Its name in the set.
        text: What is said, word by word as it was approved.
        reason: Why, for people.
        intent: What the classifier understood; None for none of its labels, or without one.
        policy: The policy it stands in; None where none applies. `distance` says how near its nearest example is.
        memories: What was said before and lies near, the nearest first.
        took_ms: From the text to this, in milliseconds.
        kind: Why, for counting.
    """

    response_id: str
    text: str
    reason: str
    intent: str | None
    policy: PolicyMatch | None
    memories: tuple[Recalled, ...]
    took_ms: float
    kind: Kind

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "response_id": self.response_id,
            "text": self.text,
            "reason": self.reason,
            "kind": self.kind,
            "intent": self.intent,
            "policy": self.policy.facts() if self.policy else None,
            "memories": [{**each.memory.facts(), "distance": round(each.distance, 4)} for each in self.memories],
            "took_ms": round(self.took_ms, 2),
        }


class FirstTurn:
    """Chooses; it neither remembers nor sends anything.

    Args:
        policies: The approved set.
        classifier: What is meant; without one, policies are found by text alone.
        recall: `Memory.recall`; without it nothing was said before.
        flags: The safety check: whether it raises its hand at a text.
    """

    def __init__(
        self,
        policies: Policies,
        *,
        classifier: Classifier | None = None,
        recall: Recall | None = None,
        flags: Callable[[str], bool] | None = None,
    ) -> None:
        self._policies = policies
        self._classifier = classifier
        self._recall = recall
        self._flags = flags

    def select(
        self,
        text: str,
        owner: Owner,
        now: datetime,
        *,
        judgement: Judgement | None = None,
        recording_id: str | None = None,
    ) -> Choice:
        """The first answer to a text.

        Args:
            text: What was said or typed.
            owner: Whose memories count.
            now: What the machine's clock shows.
            judgement: What the classifier said, if it was asked already.
            recording_id: The recording that the text is from: that one was not said before.
        """
        began = time.perf_counter()
        approved = self._policies.approved
        if self._flags is not None and self._flags(text):
            return _choice(approved.unsafe, "The safety check raised its hand.", began, kind="unsafe")
        if judgement is None and self._classifier is not None:
            (judgement,) = self._classifier.classify([text])
        intent = judgement.label if judgement is not None else None
        closest = self._policies.closest(text)
        memories = self._memories(text, owner, now, recording_id)
        policy, match, why = self._policy_for(judgement, closest)
        if policy is None:
            return _choice(approved.otherwise, why, began, intent=intent, memories=memories)
        again = self._said_before(intent, memories)
        if again is not None:
            why += f" Such a thing was said before, on {again.memory.about.said_at:%Y-%m-%d}."
        response = _response_of(policy, is_again=again is not None)
        kind = _KINDS[judgement is not None and policy is self._policies.of_intent(judgement.label), again is not None]
        return _choice(response, why, began, intent=intent, policy=match, memories=memories, kind=kind)

    def _memories(self, text: str, owner: Owner, now: datetime, recording_id: str | None) -> tuple[Recalled, ...]:
        found = self._recall(owner, text, _N_MEMORIES + 1, now) if self._recall is not None else ()
        before = [each for each in found if recording_id is None or each.memory.about.recording_id != recording_id]
        return tuple(before[:_N_MEMORIES])

    def _policy_for(
        self, judgement: Judgement | None, closest: PolicyMatch | None
    ) -> tuple[Policy | None, PolicyMatch | None, str]:
        known = self._policies.of_intent(judgement.label) if judgement is not None else None
        if judgement is not None and known is not None:
            is_closest = closest is not None and closest.policy_id == known.policy_id
            match = closest if is_closest else PolicyMatch(known.policy_id, known.version, None, None)
            why = f"It sounds like {judgement.label!r} ({sure_shown(judgement.probability)} sure)"
            return known, match, f"{why}, which policy {known.policy_id!r}, version {known.version}, is for."
        unknown = _not_understood(judgement)
        if closest is None:
            return None, None, f"{unknown} No policy could be compared with it."
        distances = f"it is {closest.distance:.2f} away, and {closest.threshold:.2f} is the most"
        if not closest.applies:
            return None, None, f"{unknown} No policy applies: the nearest is {closest.policy_id!r}, {distances}."
        why = f"{unknown} An example of policy {closest.policy_id!r}, version {closest.version}, is near: {distances}."
        return self._policies.policy(closest.policy_id), closest, why

    def _said_before(self, intent: str | None, memories: Sequence[Recalled]) -> Recalled | None:
        measured = self._policies.threshold
        most = _SAME if measured is None else min(_SAME, measured.distance)
        for each in memories:
            if each.distance <= most or (intent is not None and each.memory.about.intent == intent):
                return each
        return None


def _not_understood(judgement: Judgement | None) -> str:
    if judgement is None:
        return "No classifier was asked."
    if judgement.label is None:
        return "It is none of the things that the classifier knows."
    return f"It sounds like {judgement.label!r}, for which there is no policy."


def _response_of(policy: Policy, *, is_again: bool) -> PolicyResponse:
    """The first answer for this case, else the first that always fits; a policy has one."""
    wanted = "again" if is_again else "first"
    fitting = [response for response in policy.responses if response.when == wanted]
    return (fitting or [response for response in policy.responses if response.when == "always"])[0]


def _choice(
    response: PolicyResponse,
    why: str,
    began: float,
    *,
    intent: str | None = None,
    policy: PolicyMatch | None = None,
    memories: tuple[Recalled, ...] = (),
    kind: Kind = "otherwise",
) -> Choice:
    took_ms = (time.perf_counter() - began) * 1000
    return Choice(response.response_id, response.text, why, intent, policy, memories, took_ms, kind)
