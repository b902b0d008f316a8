"""A private Hub: the part of the Hugging Face protocol that the real client uses, for offline installs and tests."""

from projectone.server.hubd.app import create_app
from projectone.server.hubd.auth import issue_token
from projectone.server.hubd.repos import HubStore
from projectone.server.hubd.settings import HubSettings

__all__ = ["HubSettings", "HubStore", "create_app", "issue_token"]
