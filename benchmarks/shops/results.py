"""Result of the library on one shop at one date."""

from datetime import datetime
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from holdfast.core.atomic_files import replace_file
from holdfast.training.metrics import compute_metrics

# "error" is an unexpected exception; every other end is a result.
Status = Literal["served", "refused", "no signal", "too little history", "error"]


class Scores(BaseModel):
    """Scores of one model on the test rows.

    Attributes:
        largest_month: Largest distance of mean prediction and observed churn in a test month.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    roc_auc: float
    brier: float
    log_loss: float
    ece: float
    largest_month: float


class ShopResult(BaseModel):
    """Result of the library on one shop at one date.

    Attributes:
        key: Digest of data, settings and code; a result with another key is outdated.
        months_earlier: Months from ``as_of`` to the end of the data.
        reason: Explanation of ``status``.
        base_rate: Share of churned test rows; None without a test.
        level_known: Whether the training contains the season of the test, and the shop no break.
        has_signal: Whether a simple model ranks surely better than chance on the test rows.
        chosen: Description of the model that the library chose; "" without one.
        wrong_direction: Share of customers whose risk falls as their silence grows; None if it was not computed.
        scores: "model", each simple model and each family fitted on the same rows to its scores.
        simple: Names of the simple models in ``scores``.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    shop: str
    is_real: bool
    months_earlier: int
    as_of: datetime
    status: Status
    reason: str
    rows: int = 0
    base_rate: float | None = None
    level_known: bool = False
    has_signal: bool = False
    chosen: str = ""
    wrong_direction: float | None = None
    scores: dict[str, Scores] = {}
    simple: list[str] = []
    seconds: float

    @property
    def best_in_hindsight(self) -> str | None:
        """Return the name of the scores with the lowest Brier score, the model's included; None without a test."""
        return min(self.scores, key=lambda name: self.scores[name].brier, default=None)

    def write(self, folder: Path) -> None:
        """Write the result as JSON.

        Args:
            folder: Folder of the results.
        """
        with replace_file(result_path(folder, self.shop, self.months_earlier)) as temporary:
            temporary.write_text(self.model_dump_json(indent=2))


def result_path(folder: Path, shop: str, months_earlier: int) -> Path:
    """Return the file of a result.

    Args:
        folder: Folder of the results.
        shop: Name of the shop.
        months_earlier: Months from the date to the end of the data.

    Returns:
        Path, which may not exist.
    """
    return folder / f"{shop}-{months_earlier}.json"


def read_result(folder: Path, shop: str, months_earlier: int, key: str) -> ShopResult | None:
    """Read the result of an earlier run.

    Args:
        folder: Folder of the results.
        shop: Name of the shop.
        months_earlier: Months from the date to the end of the data.
        key: Key that the result must have.

    Returns:
        Result; None where there is none with this key.
    """
    path = result_path(folder, shop, months_earlier)
    if not path.exists():
        return None
    try:
        result = ShopResult.model_validate_json(path.read_bytes())
    except ValueError:  # of another version of the benchmark
        return None
    return result if result.key == key else None


def score_predictions(predictions: pd.DataFrame, column: str) -> Scores:
    """Score one column of test predictions.

    Args:
        predictions: Columns cutoff, churned and ``column``.
        column: Column of churn probabilities.

    Returns:
        Scores.
    """
    months = predictions.groupby("cutoff")[[column, "churned"]].mean()
    metrics = compute_metrics(predictions["churned"].to_numpy(dtype=bool), predictions[column].to_numpy())
    return Scores(
        roc_auc=metrics["roc_auc"],
        brier=metrics["brier"],
        log_loss=metrics["log_loss"],
        ece=metrics["ece"],
        largest_month=float((months[column] - months["churned"]).abs().max()),
    )
