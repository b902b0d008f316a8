"""What `projectone-server policies` prints for people."""

from __future__ import annotations

from typing import Any, Final

from projectone.contracts.policies import PolicyThreshold

_NAMED: Final = 5


def shown(facts: dict[str, Any]) -> str:
    """A set, or what was found in one."""
    if "texts" in facts:
        return "\n".join([f"set {facts['version']}: the signature holds", *map(_found_shown, facts["texts"])])
    lines = [] if facts.get("is_changed", True) else ["nothing changed; the set stays as it was"]
    lines += [f"set {facts['version']} of {facts['made_at'][:16]}, {len(facts['policies'])} policies"]
    for policy in facts["policies"]:
        lines.append(
            f"  {policy['policy_id']}  version {policy['version']}, approved by {policy['approved_by']}"
            f" on {policy['approved_at'][:10]}: {policy['text']}"
        )
    lines += [_threshold_shown(threshold) for threshold in facts["thresholds"]]
    if facts.get("without_policy"):
        lines.append(_others_shown(facts["without_policy"]))
    if not facts["thresholds"]:
        lines.append("  not measured, so devices find policies by intent alone: projectone-server policies measure")
    return "\n".join(lines)


def _found_shown(found: dict[str, Any]) -> str:
    near, answer = found["nearest"], "applies" if found["applies"] else "no policy applies; nearest"
    if near is None:
        return f"  nothing to compare  <-  {found['text']}"
    place = f"{near['distance']:.2f} away, {near['threshold']:.2f} is the most"
    return f"  {answer}: {near['policy_id']} (version {near['version']}), {place}  <-  {found['text']}"


def _others_shown(counts: dict[str, int]) -> str:
    named = [f"{label} ({n})" for label, n in list(counts.items())[:_NAMED]]
    if len(counts) > _NAMED:
        named.append(f"{len(counts) - _NAMED} more labels")
    return f"  counted as texts of none, because no policy is for them: {', '.join(named)}"


def _threshold_shown(facts: dict[str, Any]) -> str:
    threshold = PolicyThreshold.model_validate(facts)
    refused = "not measured" if threshold.refused is None else f"{threshold.refused:.1%} of {threshold.n_of_none}"
    return (
        f"  up to {threshold.distance:.3f} with {threshold.embedder}: found {threshold.answered:.1%} of"
        f" {threshold.n_of_policies} texts of a policy, refused {refused} of none"
    )
