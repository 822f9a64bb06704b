"""The table of scores: its contract, and how it is made and kept."""

from datetime import datetime, time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from feature_repo.contracts import UtcMicroseconds
from feature_repo.model_contract import ENTITY_KEY, ServedModel
from feature_repo.times import as_utc
from flows.files import replace_file
from flows.scoring.customers import Customers


class Scores(pa.DataFrameModel):
    """What one model version said of one customer at one moment; ``will_churn``: at or above its threshold."""

    customer_id: Series[str] = pa.Field(nullable=False, unique=True)
    as_of: Series[UtcMicroseconds] = pa.Field(nullable=False)
    churn_probability: Series[np.float64] = pa.Field(ge=0, le=1, nullable=False)
    will_churn: Series[bool] = pa.Field(nullable=False)
    model_version: Series[str] = pa.Field(nullable=False)

    class Config:
        strict = True
        ordered = True


def scores_table(customers: Customers, scores: npt.NDArray[np.float64], contract: ServedModel) -> pd.DataFrame:
    """The rows of ``Scores``, in the order of ``customers``; ``scores`` of shape (customers,)."""
    frame = pd.DataFrame(
        {
            ENTITY_KEY: customers.ids,
            "as_of": pd.Series([customers.as_of] * len(customers.ids), dtype="datetime64[us, UTC]"),
            "churn_probability": scores,
            "will_churn": scores >= contract.threshold,
            "model_version": contract.model_version,
        }
    )
    return Scores.validate(frame, lazy=True)


def scores_path(folder: Path, as_of: datetime) -> Path:
    """The file of one moment: ``FOLDER/1998-03-01.parquet``, with the time of day where it is not midnight UTC."""
    moment = as_utc(as_of)
    form = "%Y-%m-%d" if moment.time() == time() else "%Y-%m-%dT%H%M%S%fZ"
    return folder / f"{moment:{form}}.parquet"


def write_scores(frame: pd.DataFrame, path: Path) -> None:
    """Write the table, as a whole or not at all."""
    with replace_file(path) as temporary:
        frame.to_parquet(temporary, index=False)


def read_scores(path: Path) -> pd.DataFrame:
    """Read a table that ``write_scores`` wrote."""
    return Scores.validate(pd.read_parquet(path), lazy=True)
