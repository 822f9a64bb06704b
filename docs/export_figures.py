"""Copy of the champion's test plots and of the backtest plot into docs/images: `make figures`."""

import shutil
import sys
from pathlib import Path

from feature_repo.settings import Settings
from holdfast.backtesting.paths import plot_path
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.training.mlflow_client import open_tracking

IMAGES = Path(__file__).resolve().with_name("images")


def main() -> None:
    """Download the plots that `flows.train` logged, and copy the plot of the last backtest."""
    client = open_tracking(Settings.from_environment())
    run_id = str(client.get_model_version_by_alias(MODEL_NAME, CHAMPION).run_id)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name in ("test_months.png", "reliability.png", "profit.png"):
        client.download_artifacts(run_id, name, str(IMAGES))
    plot = plot_path(Settings.from_environment())
    if not plot.exists():
        sys.exit(f"{plot} is missing: run `python -m flows.backtest` first.")
    shutil.copy2(plot, IMAGES)


if __name__ == "__main__":
    main()
