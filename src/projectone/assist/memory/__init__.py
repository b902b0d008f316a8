"""What one person said, whom and what it was about, and when: kept as long as agreed, found again by what it means."""

from projectone.assist.memory.about import names_in
from projectone.assist.memory.memory import MAX_CHARACTERS, Memory, Recalled, Swept
from projectone.assist.memory.retention import KINDS, Kind, Retention
from projectone.assist.memory.rows import MEMORY_TABLES, About, Remembered

__all__ = [
    "KINDS",
    "MAX_CHARACTERS",
    "MEMORY_TABLES",
    "About",
    "Kind",
    "Memory",
    "Recalled",
    "Remembered",
    "Retention",
    "Swept",
    "names_in",
]
