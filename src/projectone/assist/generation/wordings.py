"""The words of the answers that no model writes. A changed word is a new version (a test holds the digest)."""

from __future__ import annotations

from projectone.assist.generation.templates import TemplateSet

WORDINGS = TemplateSet(
    version="2",
    sources={
        "plain": "I am sorry, I cannot answer that here just now. Please ask me again later.",
        "policy": "{{ policy }}",
        "memory": "You said this{% if day is defined %} on {{ day }}{% endif %}: {{ said }}",
    },
)
"""By kind of request. `plain` takes the place of a kind that is not here, or of facts that are missing."""
