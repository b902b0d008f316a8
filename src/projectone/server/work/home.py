"""Whether there is a server here to work for."""

from __future__ import annotations

from projectone.errors import SettingsError
from projectone.server.settings import ServerSettings


def require_home(settings: ServerSettings) -> None:
    """Refuse to work without a home, before a database would be made in a wrong place.

    Raises:
        SettingsError: if `init` never ran for this home.
    """
    if not settings.keys_folder.is_dir():
        raise SettingsError(
            f"no server at {str(settings.home)!r}: run `projectone-server init`, or set PROJECTONE_SERVER_HOME"
        )
