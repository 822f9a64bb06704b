"""Schema of score tables, and their construction, writing and reading."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.parquet as pq
from pandera.typing import Series

from feature_repo.names import ENTITY_KEY
from feature_repo.timestamps import as_utc
from holdfast.batch_scoring.champion_model import ScoringModel
from holdfast.batch_scoring.population import ScoringPopulation
from holdfast.core.atomic_files import replace_file
from holdfast.core.parquet_files import read_parquet_file
from holdfast.core.types import Floats
from holdfast.ingestion.schemas import UtcMicroseconds
from holdfast.models.reason_codes import MAX_REASONS


class ScoresSchema(pa.DataFrameModel):
    """Score of one customer at one time by one model version, with reason codes.

    Attributes:
        will_churn: The probability is at or above ``threshold``.
        active: The model was trained on such customers; otherwise the score is an extrapolation.
        reasons: Up to three texts, strongest first; null for a model without exact contributions.
        reason_details: The same reasons as ``effect`` (log-odds), ``direction`` ("raises" or "lowers" the risk) and
            ``inputs``; null like ``reasons``.
        feature_timestamp: Time of the features; always ``as_of``, unlike in responses of the service.
        stale: Always False, unlike in responses of the service.
        expected_spend: Spend that the spend model expects in the horizon; null without such a champion, and in tables
            of early releases.
        value_at_risk: ``churn_probability`` times ``expected_spend``, an order for the list and no amount that an
            offer saves: the expected spend counts the chance that the customer buys nothing already.
        spend_version: Version of the spend model; null without one.
    """

    customer_id: Series[str] = pa.Field(nullable=False, unique=True)
    as_of: Series[UtcMicroseconds] = pa.Field(nullable=False)
    churn_probability: Series[np.float64] = pa.Field(ge=0, le=1, nullable=False)
    will_churn: Series[bool] = pa.Field(nullable=False)
    threshold: Series[np.float64] = pa.Field(nullable=False)
    active: Series[bool] = pa.Field(nullable=False)
    reasons: Series[object] = pa.Field(nullable=True)
    reason_details: Series[object] = pa.Field(nullable=True)
    model_version: Series[str] = pa.Field(nullable=False)
    feature_timestamp: Series[UtcMicroseconds] = pa.Field(nullable=False)
    stale: Series[bool] = pa.Field(nullable=False)
    expected_spend: Series[np.float64] = pa.Field(ge=0, nullable=True)
    value_at_risk: Series[np.float64] = pa.Field(ge=0, nullable=True)
    spend_version: Series[object] = pa.Field(nullable=True)

    class Config:
        strict = True
        ordered = True

    @pa.dataframe_check(error="will_churn does not match probability and threshold")
    @classmethod
    def _decided(cls, rows: pd.DataFrame) -> pd.Series:
        return rows["will_churn"] == (rows["churn_probability"] >= rows["threshold"])

    @pa.dataframe_check(error="reasons and reason_details are not of the same up to three things")
    @classmethod
    def _explained(cls, rows: pd.DataFrame) -> pd.Series:
        texts, details = rows["reasons"].str.len(), rows["reason_details"].str.len()
        return (texts.fillna(0) <= MAX_REASONS) & (texts.fillna(-1) == details.fillna(-1))


_UTC = pyarrow.timestamp("us", "UTC")
_DETAIL = pyarrow.struct(
    [("effect", pyarrow.float64()), ("direction", pyarrow.string()), ("inputs", pyarrow.list_(pyarrow.string()))]
)
_SCHEMA = pyarrow.schema(
    [
        ("customer_id", pyarrow.string()),
        ("as_of", _UTC),
        ("churn_probability", pyarrow.float64()),
        ("will_churn", pyarrow.bool_()),
        ("threshold", pyarrow.float64()),
        ("active", pyarrow.bool_()),
        ("reasons", pyarrow.list_(pyarrow.string())),
        ("reason_details", pyarrow.list_(_DETAIL)),
        ("model_version", pyarrow.string()),
        ("feature_timestamp", _UTC),
        ("stale", pyarrow.bool_()),
        ("expected_spend", pyarrow.float64()),
        ("value_at_risk", pyarrow.float64()),
        ("spend_version", pyarrow.string()),
    ]
)


_ADDED = ("expected_spend", "value_at_risk", "spend_version")


def build_scores(
    customers: ScoringPopulation,
    champion: ScoringModel,
    expected_spend: Floats | None = None,
    spend_version: str | None = None,
) -> pd.DataFrame:
    """Score customers and build the table.

    Args:
        customers: Customers with model inputs.
        champion: Model that scores.
        expected_spend: Expected spend, NaN where it is unknown, shape (customers,); None without a spend model.
        spend_version: Version of the spend model; None without one.

    Returns:
        Rows of :class:`ScoresSchema`, in the order of ``customers``.

    Raises:
        InputMismatchError: The inputs of the customers differ from the inputs of the champion.
        pandera.errors.SchemaErrors: A score is no probability.
    """
    contract, count = champion.contract, len(customers.ids)
    activity = contract.terms.activity
    probabilities, why = champion.score(customers), champion.reasons(customers)
    spend = np.full(count, np.nan) if expected_spend is None else expected_spend
    times = pd.Series([customers.as_of] * count, dtype="datetime64[us, UTC]")
    details = [
        None
        if row is None
        else [{"effect": item.effect, "direction": item.direction, "inputs": list(item.inputs)} for item in row]
        for row in why
    ]
    frame = pd.DataFrame(
        {
            ENTITY_KEY: customers.ids,
            "as_of": times,
            "churn_probability": probabilities,
            "will_churn": probabilities >= contract.threshold,
            "threshold": contract.threshold,
            "active": activity.mask(customers.x[:, contract.inputs.index(activity.feature)]),
            "reasons": _objects([None if row is None else [item.text for item in row] for row in why]),
            "reason_details": _objects(details),
            "model_version": contract.model_version,
            "feature_timestamp": times,
            "stale": False,
            "expected_spend": spend,
            "value_at_risk": probabilities * spend,
            "spend_version": _objects([spend_version] * count),
        }
    )
    return ScoresSchema.validate(frame, lazy=True)


def scores_path(folder: Path, as_of: datetime) -> Path:
    """Return the file of one time: ``FOLDER/1998-03-01.parquet``, with the time of day unless it is midnight UTC.

    Args:
        folder: Folder of the score tables.
        as_of: Time of the scores.

    Returns:
        The path.
    """
    return folder / f"{timestamp_stem(as_of)}.parquet"


def timestamp_stem(as_of: datetime) -> str:
    """Format a time as a file name.

    Args:
        as_of: Time of the scores.

    Returns:
        Date, or date and time unless the time is midnight UTC.
    """
    utc = as_utc(as_of)
    form = "%Y-%m-%d" if utc.time() == time() else "%Y-%m-%dT%H%M%S%fZ"
    return f"{utc:{form}}"


def write_scores(frame: pd.DataFrame, path: Path, about: Mapping[bytes, bytes] | None = None) -> None:
    """Write a score table atomically.

    Args:
        frame: Rows of :class:`ScoresSchema`.
        path: Parquet file.
        about: File metadata.
    """
    table = pyarrow.Table.from_pandas(frame, _SCHEMA, preserve_index=False).replace_schema_metadata(dict(about or {}))
    with replace_file(path) as temporary:
        pq.write_table(table, temporary)


def read_scores(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a score table.

    Args:
        path: Parquet file written by :func:`write_scores`.
        columns: Columns to read, which is faster without reasons; all columns, validated, when None.

    Returns:
        Rows of :class:`ScoresSchema`.
    """
    table = read_parquet_file(path, columns=columns or None)
    for name in _ADDED if not columns else ():
        if name not in table.column_names:  # a table of an early release
            table = table.append_column(name, pyarrow.nulls(len(table), _SCHEMA.field(name).type))
    frame = table.to_pandas()
    for name in {"reasons", "reason_details", "spend_version"} & set(table.column_names):  # else arrays in arrays
        frame[name] = _objects(table[name].to_pylist())
    return frame if columns else ScoresSchema.validate(frame, lazy=True)


def _objects(values: Sequence[object]) -> pd.Series:
    return pd.Series(values, dtype=object)
