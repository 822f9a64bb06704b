"""Settings of the service: bounds and error messages."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from feature_repo.errors import SettingsError
from holdfast.core.errors import HoldfastError
from services.settings import ServingSettings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the session."""
    for name in [name for name in os.environ if name.upper().startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)


def test_settings_have_defaults() -> None:
    assert ServingSettings.from_environment().model_dump() == {
        "api_keys": None,
        "api_keys_file": None,
        "keyless": "",
        "max_concurrency": 256,
        "workers": 1,
        "store_timeout_ms": 250,
        "registry_poll_seconds": 3,
        "registry_start_seconds": 3,
        "model_trial_seconds": 60,
        "model_trial_memory_mb": 2048,
        "prediction_log": True,
        "prediction_log_days": 180,
        "last_known": 0,
        "cors_origins": (),
    }


def test_settings_are_read_at_each_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "HOLDFAST_API_KEYS": "shop:00",
        "HOLDFAST_API_KEYS_FILE": str(tmp_path / "keys"),
        "HOLDFAST_MAX_CONCURRENCY": "7",
        "HOLDFAST_WORKERS": "2",
        "HOLDFAST_STORE_TIMEOUT_MS": "100",
        "HOLDFAST_REGISTRY_POLL_SECONDS": "0.5",
        "HOLDFAST_REGISTRY_START_SECONDS": "0",
        "HOLDFAST_PREDICTION_LOG": "false",
        "HOLDFAST_PREDICTION_LOG_DAYS": "30",
        "HOLDFAST_LAST_KNOWN": "100000",
        "HOLDFAST_CORS_ORIGINS": " https://shop.example , http://localhost:8080,",
    }.items():
        monkeypatch.setenv(name, value)
    assert ServingSettings.from_environment() == ServingSettings(
        api_keys="shop:00",
        api_keys_file=tmp_path / "keys",
        max_concurrency=7,
        workers=2,
        store_timeout_ms=100,
        registry_poll_seconds=0.5,
        registry_start_seconds=0,
        prediction_log=False,
        prediction_log_days=30,
        last_known=100_000,
        cors_origins=("https://shop.example", "http://localhost:8080"),
    )
    monkeypatch.setenv("HOLDFAST_MAX_CONCURRENCY", "8")
    assert ServingSettings.from_environment().max_concurrency == 8


NUMBERS = {
    "MAX_CONCURRENCY": ("a whole number from 1 to 10000", ["0", "-1", "10001", "1.5", "many", ""]),
    "WORKERS": ("a whole number from 1 to 64", ["0", "-1", "65", "1.5", "all", ""]),
    "STORE_TIMEOUT_MS": ("a whole number from 1 to 30000", ["0", "30001", "250ms", "nan"]),
    "REGISTRY_POLL_SECONDS": ("a number from 0.1 to 3600", ["0", "-1", "3601", "nan", "inf", ""]),
    "REGISTRY_START_SECONDS": ("a number from 0 to 300", ["-0.1", "301", "nan", "inf"]),
    "PREDICTION_LOG_DAYS": ("a whole number from 1 to 3650", ["0", "3651", "forever"]),
    "LAST_KNOWN": ("a whole number from 0 to 10000000", ["-1", "10000001", "all"]),
    "PREDICTION_LOG": ("true or false", ["maybe", "", "2"]),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (_, values) in NUMBERS.items() for value in values]
)
def test_value_out_of_bounds_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HOLDFAST_{name}", value)
    with pytest.raises(SettingsError) as caught:
        ServingSettings.from_environment()
    assert str(caught.value) == f"HOLDFAST_{name} is {value!r}; it must be {NUMBERS[name][0]}."
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert issubclass(SettingsError, HoldfastError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_CONCURRENCY", 1),
        ("MAX_CONCURRENCY", 10_000),
        ("WORKERS", 1),
        ("WORKERS", 64),
        ("STORE_TIMEOUT_MS", 30_000),
        ("REGISTRY_POLL_SECONDS", 0.1),
        ("REGISTRY_START_SECONDS", 300.0),
        ("PREDICTION_LOG_DAYS", 3650),
        ("LAST_KNOWN", 10_000_000),
    ],
)
def test_value_at_bounds_is_valid(monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    monkeypatch.setenv(f"HOLDFAST_{name}", str(value))
    assert getattr(ServingSettings.from_environment(), name.lower()) == value


@pytest.mark.parametrize(
    "value",
    ["shop.example", "https://shop.example/", "https://shop.example/page", "ftp://x", "*,https://x", "https://"],
)
def test_cors_origin_invalid_raises(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HOLDFAST_CORS_ORIGINS", value)
    with pytest.raises(SettingsError, match=r"^HOLDFAST_CORS_ORIGINS is .* must be origins such as https://shop"):
        ServingSettings.from_environment()


def test_cors_origins_are_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, expected in (("HTTPS://Shop.Example", ("https://shop.example",)), ("*", ("*",)), ("", ())):
        monkeypatch.setenv("HOLDFAST_CORS_ORIGINS", value)
        assert ServingSettings.from_environment().cors_origins == expected


def test_several_invalid_values_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_MAX_CONCURRENCY", "0")
    monkeypatch.setenv("HOLDFAST_LAST_KNOWN", "x")
    with pytest.raises(SettingsError, match=r"MAX_CONCURRENCY is '0'; .*\. HOLDFAST_LAST_KNOWN is 'x'; .*\.$"):
        ServingSettings.from_environment()


@pytest.mark.parametrize("name", ["HOLDFAST_API_KEY", "HOLDFAST_APIKEYS", "holdfast_api_key_file"])
def test_misspelt_key_variable_raises(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "very-secret")
    with pytest.raises(SettingsError, match=f"^{name} is not a setting. Use HOLDFAST_API_KEYS or") as caught:
        ServingSettings.from_environment()
    assert "very-secret" not in str(caught.value)


def test_keys_are_not_in_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_API_KEYS", "a-key-by-mistake")
    settings = ServingSettings.from_environment()
    assert settings.api_keys == "a-key-by-mistake"
    assert "mistake" not in f"{settings!r} {settings}"


def test_key_file_is_absolute_and_retains_links(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mounted Kubernetes secret is a link whose target is removed when the secret changes."""
    (tmp_path / "first").write_text("")
    (tmp_path / "keys").symlink_to("first")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("keys", "~/keys", str(tmp_path / "keys")):
        monkeypatch.setenv("HOLDFAST_API_KEYS_FILE", value)
        assert ServingSettings.from_environment().api_keys_file == tmp_path / "keys"
    monkeypatch.setenv("HOLDFAST_API_KEYS_FILE", "")
    with pytest.raises(SettingsError, match=r"^HOLDFAST_API_KEYS_FILE is ''; it must be the path of a file; to serve"):
        ServingSettings.from_environment()


def test_settings_are_frozen_and_described() -> None:
    with pytest.raises(ValidationError):
        ServingSettings().last_known = 1  # type: ignore[misc]
    assert all(field.description for field in ServingSettings.model_fields.values())
    assert "requests from this machine are allowed" in str(ServingSettings.model_fields["keyless"].description)
