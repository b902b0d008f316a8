"""What a person may set."""

from __future__ import annotations

import base64
from dataclasses import fields
from pathlib import Path

import pytest

from projectone.assist.memory.retention import Retention
from projectone.device.settings import DeviceSettings, tier_for
from projectone.errors import SettingsError


def test_without_any_setting_there_is_a_home_and_no_server() -> None:
    settings = DeviceSettings.from_env({"HOME": "/somewhere"})
    assert settings.home.is_relative_to("/somewhere")
    assert (settings.server, settings.release_keys, settings.channel) == (None, (), "stable")


def test_every_variable_is_read(tmp_path: Path) -> None:
    (tmp_path / "root.json").write_bytes(b'{"signed":1}')
    values = {
        "PROJECTONE_HOME": "/a/b",
        "PROJECTONE_SERVER": "https://speech.example.org/",
        "PROJECTONE_ENROLMENT_CODE": "code",
        "PROJECTONE_RELEASE_KEY": " k1 , k2,",
        "PROJECTONE_RELEASE_ROOT": str(tmp_path / "root.json"),
        "PROJECTONE_CHANNEL": "beta",
        "PROJECTONE_TIER": "int4",
        "PROJECTONE_LANGUAGE": "de",
        "PROJECTONE_NUMERICS": "int8",
        "PROJECTONE_MODEL_BUDGET_MB": "900",
        "PROJECTONE_MEMORY_KEEP": "said=7 noted=forever",
        "PROJECTONE_ANSWERS_URL": "https://answers.example.org/v1/",
        "PROJECTONE_ANSWERS_MODEL": "small-1",
        "PROJECTONE_ANSWERS_KEY": "/a/key",
        "PROJECTONE_ANSWERS_LOCAL_MODEL": "/a/model",
        "PROJECTONE_ANSWERS_PRICES": "0.15, 0.6",
        "PROJECTONE_ANSWERS_BUDGET": "0.5",
        "PROJECTONE_ANSWERS_DEADLINE_S": "0.8",
        "PROJECTONE_SAFETY_MODEL": "/a/guard",
        "PROJECTONE_UPDATE_HOURS": "22-5",
    }
    assert DeviceSettings.from_env(values) == DeviceSettings(
        home=Path("/a/b"),
        server="https://speech.example.org",
        enrolment_code="code",
        release_keys=("k1", "k2"),
        release_root=b'{"signed":1}',
        channel="beta",
        tier="int4",
        language="de",
        numerics="int8",
        model_budget_bytes=900_000_000,
        memory_keep=Retention({"said": 7, "asked": 30, "noted": None}),
        answers_url="https://answers.example.org/v1",
        answers_model="small-1",
        answers_key="/a/key",
        answers_local_model=Path("/a/model"),
        answers_prices=(0.15, 0.6),
        answers_budget_micros=500_000,
        answers_deadline_s=0.8,
        safety_model=Path("/a/guard"),
        update_hours=(22, 5),
    )
    assert {field.metadata["variable"] for field in fields(DeviceSettings)} == set(values)


def test_a_root_may_be_given_as_text_and_nonsense_is_refused() -> None:
    text = base64.b64encode(b'{"signed":1}' * 200).decode()
    assert DeviceSettings.from_env({"HOME": "/h", "PROJECTONE_RELEASE_ROOT": text}).release_root.startswith(b"{")
    for wrong in ("/no/such/root.json", "AAAA", "/h"):
        with pytest.raises(SettingsError, match="PROJECTONE_RELEASE_ROOT"):
            DeviceSettings.from_env({"HOME": "/h", "PROJECTONE_RELEASE_ROOT": wrong})


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host",
        "host:80",
        "https://",
        "https://user@host",
        "https://host/path",
        "http://host",
        "http://10.0.0.1",
        "https://h:x",
    ],
)
def test_an_address_that_is_unsafe_or_none_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="PROJECTONE_SERVER"):
        DeviceSettings.from_env({"HOME": "/h", "PROJECTONE_SERVER": address})


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8700", "http://localhost:1", "http://[::1]:8700", "https://h:8443"]
)
def test_https_or_this_machine_itself_is_taken(address: str) -> None:
    assert DeviceSettings.from_env({"HOME": "/h", "PROJECTONE_SERVER": address}).server == address


@pytest.mark.parametrize(
    ("variable", "value"),
    [("LANGUAGE", "english"), ("LANGUAGE", "en-GB"), ("LANGUAGE", "EN"), ("CHANNEL", "../beta"), ("CHANNEL", "be ta")],
)
def test_a_language_or_a_channel_that_is_none_is_refused_before_anything_is_kept(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"PROJECTONE_{variable}: expected"):
        DeviceSettings.from_env({"HOME": "/h", f"PROJECTONE_{variable}": value})


def test_numerics_that_nobody_computes_in_are_refused() -> None:
    with pytest.raises(SettingsError, match="PROJECTONE_NUMERICS: expected float32 or int8, got 'int3'"):
        DeviceSettings.from_env({"HOME": "/h", "PROJECTONE_NUMERICS": "int3"})


def test_the_enrolment_code_is_in_no_text() -> None:
    settings = DeviceSettings.from_env({"HOME": "/h", "PROJECTONE_ENROLMENT_CODE": "hush"})
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(("memory_bytes", "tier"), [(1 << 30, "int4"), (3 << 30, "int8"), (8 << 30, "float16")])
def test_a_machine_with_little_memory_takes_a_smaller_model_by_itself(memory_bytes: int, tier: str) -> None:
    assert tier_for(memory_bytes) == tier


def test_a_tier_is_one_that_this_device_can_compute_with() -> None:
    assert DeviceSettings.from_env({"PROJECTONE_TIER": "auto"}).tier in ("float16", "int8", "int4")
    with pytest.raises(SettingsError, match="PROJECTONE_TIER"):
        DeviceSettings.from_env({"PROJECTONE_TIER": "coreml-int8"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MODEL_BUDGET_MB", "much"),
        ("MODEL_BUDGET_MB", "0"),
        ("MODEL_BUDGET_MB", "-5"),
        ("UPDATE_HOURS", "night"),
        ("UPDATE_HOURS", "1-24"),
        ("UPDATE_HOURS", "5"),
    ],
)
def test_a_budget_and_hours_are_numbers(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"PROJECTONE_{variable}: expected"):
        DeviceSettings.from_env({"HOME": "/h", f"PROJECTONE_{variable}": value})
