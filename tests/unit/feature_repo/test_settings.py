"""Tests of the settings and the environment block."""

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.local.settings import LocalSettings
from feature_repo.errors import SettingsError
from feature_repo.settings import NO_TELEMETRY, Settings, apply_environment
from holdfast.alerting.settings import AlertSettings


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith(("HOLDFAST_", "MLFLOW_"))]:
        monkeypatch.delenv(name)


def test_from_environment_defaults_are_data_folder_and_wall_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Settings.from_environment().data == Path(__file__).resolve().parents[3] / "data"
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path))  # after `make run` the folder of the checkout replays CDNOW
    settings = Settings.from_environment()
    assert (settings.clock, settings.horizon_days, settings.activity_days) == ("wall", 90, 180)


def test_from_environment_reads_the_environment_at_each_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path / "a"))
    monkeypatch.setenv("HOLDFAST_HORIZON_DAYS", "60")
    assert (Settings.from_environment().data, Settings.from_environment().horizon_days) == (tmp_path / "a", 60)
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path / "b"))
    assert Settings.from_environment().data == tmp_path / "b"
    assert Settings(data=tmp_path / "c").data == tmp_path / "c"


def test_from_environment_relative_folder_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value, expected in (("state", tmp_path / "state"), ("~/state", tmp_path / "home" / "state")):
        monkeypatch.setenv("HOLDFAST_DATA", value)
        assert Settings.from_environment().data == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("wall", "wall"),
        ("data", "data"),
        ("1998-07-01T00:00:00", datetime(1998, 7, 1, tzinfo=UTC)),
        ("1998-07-01", datetime(1998, 7, 1, tzinfo=UTC)),
        ("1998-07-01T00:00:00Z", datetime(1998, 7, 1, tzinfo=UTC)),
        ("1998-07-01T02:00:00+02:00", datetime(1998, 7, 1, tzinfo=UTC)),
    ],
)
def test_from_environment_parses_the_clock(monkeypatch: pytest.MonkeyPatch, value: str, expected: object) -> None:
    monkeypatch.setenv("HOLDFAST_CLOCK", value)
    clock = Settings.from_environment().clock
    assert clock == expected
    assert not isinstance(clock, datetime) or clock.tzinfo is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [("CLOCK", "moon"), ("CLOCK", ""), ("HORIZON_DAYS", "0"), ("ACTIVITY_DAYS", "-1"), ("HORIZON_DAYS", "soon")],
)
def test_from_environment_invalid_value_raises_settings_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"HOLDFAST_{name}", value)
    with pytest.raises(SettingsError, match=f"^HOLDFAST_{name} is {value!r}; it must be "):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("HOLDFAST_CLOCK", "moon", "is 'moon'; it must be 'wall' or 'data' or a time such as 2024-03-01T12:00:00."),
        ("HOLDFAST_HORIZON_DAYS", "0", "is '0'; it must be a whole number of at least 1."),
        ("HOLDFAST_ALERT_TIMEOUT_SECONDS", "31", "is invalid; it must be a number above 0 and of at most 30."),
        ("HOLDFAST_ALERT_LOG_MINIMUM", "loud", "is invalid; it must be 'info', 'warning' or 'critical'."),
        ("HOLDFAST_SERVICE_PORT", "http", "is 'http'; it must be a whole number from 1 to 65535."),
    ],
)
def test_from_environment_invalid_value_message_names_variable_value_and_expectation(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        for settings in (Settings, AlertSettings, LocalSettings):
            settings.from_environment()
    assert str(error.value).startswith(f"{variable} {message}")


def test_settings_are_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        Settings(data=tmp_path).data = tmp_path / "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "expected"), [("a\nb", "control characters"), ("a\udcff", "UTF-8"), ("a\\[1]", "backslash")]
)
def test_from_environment_unusable_data_folder_raises_settings_error(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path / name))
    with pytest.raises(SettingsError, match=f"^HOLDFAST_DATA is .*{expected}"):
        Settings.from_environment()


def test_settings_all_state_is_in_the_data_folder(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    for folder in (settings.batches, settings.snapshots, settings.feast, settings.mlflow):
        assert folder.parent == tmp_path
    block = settings.environment()
    for name in ("PREFECT_HOME", "BENTOML_HOME"):
        assert Path(block[name]).parent == tmp_path
    assert block["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow/mlflow.db"


def test_mlflow_tracking_uri_named_server_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert Settings(data=tmp_path).mlflow_tracking_uri == "http://mlflow:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert Settings(data=tmp_path).mlflow_tracking_uri.startswith("sqlite:///")


def test_environment_read_again_returns_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "with space")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment() == settings


def test_apply_environment_does_not_overwrite_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NO_TELEMETRY:
        monkeypatch.delenv(name, raising=False)
    for name in ("BENTOML_HOME", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path))
    monkeypatch.setenv("PREFECT_HOME", "/elsewhere")
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", dict(os.environ))
        apply_environment()
        assert os.environ["PREFECT_HOME"] == "/elsewhere"
        assert os.environ["BENTOML_HOME"] == str(tmp_path / "bentoml")
        assert os.environ["DO_NOT_TRACK"] == os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_main_prints_variables_for_a_shell(tmp_path: Path) -> None:
    from tests.support.main_job import environment_of, run

    data = tmp_path / "with space"
    printed = run(["bash", "-c", 'eval "$(python -m feature_repo.settings)"; env -0'], environment_of(data))
    found = dict(line.split("=", 1) for line in printed.split("\0") if "=" in line)
    assert found["HOLDFAST_DATA"] == str(data)
    assert found["FEAST_USAGE"] == "False"
    assert shlex.split(found["PATH"].split(":")[0])
