"""How a person changed what a model had heard: a few words in one place, or everything. A figure, never a filter.

The hardest corrections change nearly all words, and a wrong text does too; so this is evidence for whoever looks at a
sample, beside its sound.
"""

from __future__ import annotations

from difflib import SequenceMatcher


def measure_edits(heard: str, said: str) -> dict[str, float]:
    """Figures of one correction; case and signs do not count.

    Args:
        heard: What the model made of the recording.
        said: What the person wrote.

    Returns:
        ``edit_share``: words changed, left out or put in, over those of the longer text. ``edit_places``: in how many
        places. ``edit_span``: from the first to the last change, over the words said; small is local. All are 0 where
        nothing was changed.
    """
    before, after = _words(heard), _words(said)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    edits = [code[1:] for code in matcher.get_opcodes() if code[0] != "equal"]
    if not edits:
        return {"edit_share": 0.0, "edit_places": 0.0, "edit_span": 0.0}
    n_changed = sum(max(j - i, m - k) for i, j, k, m in edits)
    span = max(edits[-1][3] - edits[0][2], 1)
    return {
        "edit_share": round(min(1.0, n_changed / max(len(before), len(after))), 4),
        "edit_places": float(len(edits)),
        "edit_span": round(min(1.0, span / max(len(after), 1)), 4),
    }


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "'" else " " for c in text.casefold()).split()
