"""Where packages go: into the server's folder, and into a bucket if the settings name one."""

from __future__ import annotations

from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs
from projectone.storage.mirrored import MirroredBlobs
from projectone.storage.objects import open_objects


def open_packages(settings: ServerSettings) -> FileBlobs:
    """The store of packages.

    Raises:
        SettingsError: if the bucket cannot be opened.
    """
    folder = settings.home / "packages"
    return FileBlobs(folder) if settings.objects is None else MirroredBlobs(folder, open_objects(settings.objects))
