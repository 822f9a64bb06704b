"""Shop with data that ends today, on the wall clock."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from feature_repo.settings import REPLAY_MARKER
from holdfast.core.errors import IngestError
from tests.support.ingest_pipeline import run_ingest
from tests.support.small_shop import use_data_folder

pytestmark = pytest.mark.long

MAPPING = "columns: {customer_id: id, event_timestamp: when, amount: amount}\n"


@pytest.fixture
def shop(data_dir: Path, tmp_path: Path) -> tuple[Path, Path]:
    now = datetime.now(UTC)
    rows = [f"c{n % 7},{(now - timedelta(days=9 * n, hours=1)).isoformat()},{n + 1}" for n in range(40)]
    (tmp_path / "shop.csv").write_text("\n".join(["id,when,amount", *rows]) + "\n")
    (tmp_path / "shop.yaml").write_text(MAPPING)
    return tmp_path / "shop.csv", tmp_path / "shop.yaml"


def test_daily_flow_builds_features_of_the_last_midnight(
    prefect_server: None, shop: tuple[Path, Path], data_dir: Path
) -> None:
    from flows.features import features

    with use_data_folder(data_dir) as settings:
        run_ingest(settings, *shop)
        before = datetime.now(UTC)
        result = features()
    assert result.as_of in {datetime.combine(day.date(), time(), UTC) for day in (before, datetime.now(UTC))}
    assert type(result.as_of) is datetime  # Prefect's own times are of a subclass that parity chokes on
    assert (result.current.parity.customers, result.current.parity.mismatches) == (7, 0)


def test_lifecycle_with_source_in_replay_folder_raises(
    prefect_server: None, shop: tuple[Path, Path], data_dir: Path
) -> None:
    from flows.lifecycle import lifecycle

    data_dir.mkdir(parents=True)
    (data_dir / REPLAY_MARKER).touch()
    with pytest.raises(IngestError, match="would be mixed with it permanently"):
        lifecycle([str(shop[0])], [str(shop[1])])
    assert not (data_dir / "batches").exists()
