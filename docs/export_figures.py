"""Copies the pictures of the champion's test period and of the backtest into docs/pictures. `make pictures`"""

from pathlib import Path

from feature_repo.settings import load_settings
from holdfast.backtesting.paths import copy_plot
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.training.mlflow_tracking import open_tracking

PICTURES = Path(__file__).resolve().with_name("pictures")


def main() -> None:
    """Download the pictures that `flows.train` logged; `flows.backtest` left its own."""
    client = open_tracking(load_settings())
    run_id = str(client.get_model_version_by_alias(MODEL_NAME, CHAMPION).run_id)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in ("test_months.png", "reliability.png", "profit.png"):
        client.download_artifacts(run_id, name, str(PICTURES))
    copy_plot(load_settings(), PICTURES)


if __name__ == "__main__":
    main()
