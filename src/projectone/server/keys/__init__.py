"""Keys of consents: destroying one makes what it sealed unreadable in every copy."""

from projectone.server.keys.consents import ConsentKeys, KeyCounts, SealingKey
from projectone.server.keys.memory import REMEMBERED_S
from projectone.server.keys.tables import KEY_TABLES, open_key_database

__all__ = ["KEY_TABLES", "REMEMBERED_S", "ConsentKeys", "KeyCounts", "SealingKey", "open_key_database"]
