from pathlib import Path

from projectone.contracts.base import sha256_hex
from projectone.server.settings import ServerSettings
from projectone.server.work.package_store import open_packages
from projectone.storage.objects import open_objects


def settings(home: Path, **variables: str) -> ServerSettings:
    given = {f"PROJECTONE_SERVER_{name}": value for name, value in variables.items()}
    return ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home), **given})


def test_packages_are_kept_where_the_settings_say(tmp_path: Path) -> None:
    open_packages(settings(tmp_path / "alone")).put([b"a package"])
    assert not (tmp_path / "bucket").exists()
    open_packages(settings(tmp_path / "home", OBJECTS=str(tmp_path / "bucket"))).put([b"a package"])
    assert open_objects(str(tmp_path / "bucket")).size_of(sha256_hex(b"a package")) == 9
