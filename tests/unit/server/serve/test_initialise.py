"""A home is made once; repeating it changes nothing that devices rely on."""

import base64
import json
import stat
from argparse import Namespace
from pathlib import Path

import pytest

from projectone.errors import StorageError
from projectone.server.serve.initialise import execute, initialise, with_secrets
from projectone.server.settings import ServerSettings


def settings_in(folder: Path, **variables: str) -> ServerSettings:
    return ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(folder / "home"), **variables})


def test_a_home_is_made_and_says_what_a_device_needs(tmp_path: Path) -> None:
    made = initialise(settings_in(tmp_path))
    assert len(base64.b64decode(made.release_public_key)) == 32
    assert len(made.enrolment_code) >= 20
    assert Path(made.hub_token_file).read_text().startswith("hf_")


def test_doing_it_again_keeps_every_key(tmp_path: Path) -> None:
    assert initialise(settings_in(tmp_path)) == initialise(settings_in(tmp_path))
    assert with_secrets(settings_in(tmp_path)).enrolment_code == initialise(settings_in(tmp_path)).enrolment_code


@pytest.mark.parametrize("was_there", [False, True])
def test_nobody_else_may_read_voices_or_keys(tmp_path: Path, was_there: bool) -> None:
    if was_there:
        (tmp_path / "home").mkdir(mode=0o755)
    initialise(settings_in(tmp_path))
    home = tmp_path / "home"
    for path in (home, home / "keys", home / "blobs"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (home / "keys").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_code_that_was_set_is_the_code(tmp_path: Path) -> None:
    made = initialise(settings_in(tmp_path, PROJECTONE_SERVER_ENROLMENT_CODE="our-own-code"))
    assert made.enrolment_code == "our-own-code"


def test_the_command_prints_one_object_or_lines_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(Namespace(json=True), settings_in(tmp_path)) == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert execute(Namespace(json=False), settings_in(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert f"PROJECTONE_RELEASE_KEY={made['release_public_key']}" in shown
    assert f"PROJECTONE_RELEASE_ROOT={made['release_root_file']}" in shown
    assert base64.b64decode(made["release_root"]) == Path(made["release_root_file"]).read_bytes()
    assert f"PROJECTONE_ENROLMENT_CODE={made['enrolment_code']}" in shown


def test_a_home_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file in the way")
    with pytest.raises(StorageError, match="could not be made"):
        initialise(settings_in(tmp_path))
