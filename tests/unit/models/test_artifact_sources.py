"""Attacks by the addresses of model files in a registry: the service requests none but its own."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.models import artifact_sources
from holdfast.models.artifact_sources import require_readable_size, require_source
from holdfast.models.contract import CHAMPION, MODEL_FILE
from holdfast.models.registered_version import NotServableError
from holdfast.models.registry_client import RegistryClient
from tests.support.http_server import PostHandler, running_http_server
from tests.support.registry import make_registry

SERVER = "https://user:secret@mlflow.example:5000"


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/model.skops",
        "http://[fe80::1]/model.skops",
        "https://mlflow.example:5001/model.skops",
        "https://mlflow.example:5000@attacker.example/model.skops",
        "mlflow-artifacts://169.254.169.254/1/model.skops",
        "mlflow-artifacts:/1/../../model.skops",
        "s3://attacker/model.skops",
        "s3://shop/mlflow-other/model.skops",
        "s3://shop/mlflow/../other/model.skops",
        "s3://shop/mlflow/%2e%2e/other/model.skops",
        "ftp://attacker.example/model.skops",
        "dbfs:/model.skops",
        "runs:/1/model.skops",
        "file://attacker.example/share/model.skops",
        "gopher://127.0.0.1:6379/model.skops",
    ],
)
def test_require_source_other_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_ARTIFACT_ROOTS", "s3://shop/mlflow, ,")
    with pytest.raises(NotServableError, match="Nothing was requested") as error:
        require_source(address, SERVER)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        "mlflow-artifacts:/1/models/m-1/artifacts/model.skops",
        "mlflow-artifacts://mlflow.example:5000/1/model.skops",
        "https://mlflow.example:5000/api/1/model.skops",
        "s3://shop/mlflow/1/model.skops",
        "/mnt/models/1/model.skops",
        "file:///mnt/models/1/model.skops",
        "file:///srv/holdfast/mlflow/artifacts/1/model.skops",
    ],
)
def test_require_source_own_address_is_accepted(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_DATA", "/srv/holdfast")
    monkeypatch.setenv("HOLDFAST_ARTIFACT_ROOTS", "s3://shop/mlflow,file:///mnt/models")
    require_source(address, SERVER)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scheme=st.sampled_from(["", "file://"]),
    parts=st.lists(st.sampled_from(["..", "%2e%2e", "link", "mlflow", "a b"]), max_size=5),
    root=st.sampled_from(["data", "root", "other", "data-other", "root/.."]),
)
def test_require_source_local_file_outside_of_the_roots_is_refused(
    scheme: str, parts: list[str], root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever dots, quotes and links are in the path: it is refused if it ends outside, and nothing else is."""
    for name in ("data", "root", "other"):
        (tmp_path / name).mkdir(exist_ok=True)
        if not (tmp_path / name / "link").is_symlink():
            (tmp_path / name / "link").symlink_to(tmp_path / "other")
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOLDFAST_ARTIFACT_ROOTS", (tmp_path / "root").as_uri())
    path = "/".join([str(tmp_path), root, *parts, MODEL_FILE])
    end = Path(unquote(path)).resolve()
    if any(end.is_relative_to((tmp_path / name).resolve()) for name in ("data", "root")):
        require_source(scheme + path, SERVER)
    else:
        with pytest.raises(NotServableError, match="Nothing was read"):
            require_source(scheme + path, SERVER)


def test_local_file_without_end_or_of_another_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / MODEL_FILE)
    with pytest.raises(NotServableError, match="no regular file"):
        require_source((tmp_path / MODEL_FILE).as_uri(), "sqlite:///x.db")
    monkeypatch.setattr(artifact_sources, "MAX_BYTES", 3)
    (tmp_path / "large").write_bytes(b"1234")
    with pytest.raises(NotServableError, match="has 4 bytes; at most 3"):
        require_readable_size(tmp_path / "large")


def test_download_of_a_changed_address_requests_nothing(tmp_path: Path) -> None:
    requests: list[str] = []

    class Handler(PostHandler):
        def do_GET(self) -> None:  # noqa: N802  name of the standard library
            requests.append(self.path)
            self.respond(200, b"x")

    registry = make_registry(tmp_path)
    registry.set_alias(CHAMPION, registry.register_model())
    with running_http_server(Handler) as port:
        address = f"http://127.0.0.1:{port}/model"
        with closing(sqlite3.connect(registry.uri.removeprefix("sqlite:///"))) as database, database:
            database.execute("UPDATE model_versions SET source = ?, storage_location = ?", [address, address])
        with pytest.raises(NotServableError, match=r"names http://127\.0\.0\.1 as source"):
            RegistryClient(registry.uri).download_by_alias(CHAMPION)
    assert requests == []
