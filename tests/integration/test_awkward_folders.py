"""Ingest, features, registry and search work in a data folder whose name could be a pattern, partition or address."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from feature_repo.settings import Settings
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import read_customers
from holdfast.training import hyperparameter_search
from holdfast.training.mlflow_client import open_registry, open_tracking
from holdfast.training.model_families import FAMILIES
from tests.support.feature_oracle import Transaction
from tests.support.small_shop import (
    ARRIVALS,
    AS_OF,
    build_features,
    copy_shop,
    ingest,
    registered_store,
    transactions,
    use_data_folder,
)

_PARTS = (
    "customer_id=x",
    "amount=5",
    "shop[12]*",
    "a?b#c&mode=memory",
    "100%41 it's {SCHEMA_VERSION} $HOME `id` ; Größe",
)
_DECOYS = ("shop1", "shop2", "shop[12]x")  # match the third part as a pattern


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("awkward").joinpath(*_PARTS[:2])
    rows = transactions()
    for decoy in _DECOYS:
        ingest(root / decoy / "/".join(_PARTS[3:]), [Transaction("decoy", rows[0].event_timestamp, 9.0, AS_OF)], AS_OF)
    data = root.joinpath(*_PARTS[2:])
    for _, arrival in ARRIVALS:
        ingest(data, [row for row in rows if row.ingested_at == arrival], arrival)
    return data


def _snapshot(data: Path) -> bytes:
    with use_data_folder(data) as settings:
        return Path(build_features(settings).path).read_bytes()


def test_features_in_an_awkward_folder_equal_those_of_a_plain_folder(awkward: Path, tmp_path: Path) -> None:
    assert _snapshot(awkward) == _snapshot(copy_shop(tmp_path))


def test_online_values_in_an_awkward_folder_equal_the_offline_values(awkward: Path) -> None:

    with use_data_folder(awkward) as settings:
        snapshot = build_features(settings)
        report = check_parity(registered_store(), registered_store(snapshot.known_at), read_customers(snapshot), AS_OF)

    assert report.customers == 300
    assert report.mismatches == 0


def test_registry_in_an_awkward_folder_stores_its_files_in_it(
    awkward: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with use_data_folder(awkward) as settings:
        client = open_tracking(settings)
        with mlflow.start_run() as run:
            mlflow.log_text("text", "note.txt")
        found = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/note.txt")

        assert found == "text"
        assert open_registry(settings).get_run(run.info.run_id).info.status == "FINISHED"
        assert client.get_run(run.info.run_id).info.artifact_uri.startswith((awkward / "mlflow" / "artifacts").as_uri())
    assert (awkward / "mlflow" / "mlflow.db").is_file()
    assert list(tmp_path.iterdir()) == []


def test_search_in_an_awkward_folder_stores_its_trials_in_it(awkward: Path) -> None:
    storage = awkward / "search.db"
    study = hyperparameter_search._study(FAMILIES["logistic"], storage)
    study.tell(study.ask(), 1.0)

    assert storage.is_file()
    assert len(hyperparameter_search._study(FAMILIES["logistic"], storage).trials) == 1


@pytest.mark.parametrize("name", ["a?b", "shop[12] 100%"])
def test_prefect_in_an_awkward_folder_opens_its_database_in_it(name: str, tmp_path: Path) -> None:
    home = tmp_path / name / "prefect"
    home.mkdir(parents=True)
    code = (
        "import asyncio, sqlalchemy\n"
        "from prefect.settings import get_current_settings\n"
        "from sqlalchemy.ext.asyncio import create_async_engine\n"
        "async def main():\n"
        "    url = get_current_settings().server.database.connection_url.get_secret_value()\n"
        "    async with create_async_engine(url).begin() as connection:\n"
        "        await connection.execute(sqlalchemy.text('CREATE TABLE t (x)'))\n"
        "asyncio.run(main())\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= Settings(data=tmp_path / name).environment()
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)

    assert (home / "prefect.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]
