"""What came of those who were scored, once their horizon has closed."""

from datetime import datetime, timedelta

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd

from feature_repo.labels import churn_labels
from feature_repo.model_contract import ENTITY_KEY
from feature_repo.settings import Settings
from feature_repo.transformations import known_transactions
from flows.ingestion.batches import end_of_data, list_batches, transactions_glob


def matures_at(settings: Settings, cohort: datetime) -> datetime:
    """When the horizon of those who were scored at ``cohort`` closes."""
    return cohort + timedelta(days=settings.horizon_days)


def known_until(settings: Settings, as_of: datetime, known_at: datetime) -> datetime | None:
    """Up to when all is known at ``as_of`` from what had arrived by ``known_at``: what matured by then is mature.

    Where the data end before a horizon does, days without data are not days without purchases. None without data.
    """
    end = end_of_data([batch for batch in list_batches(settings) if batch.ingested_at <= known_at])
    return None if end is None else min(as_of, end)


def is_mature(settings: Settings, cohort: datetime, as_of: datetime, known_at: datetime) -> bool:
    """Whether the outcomes of a cohort are known at ``as_of`` from what had arrived by ``known_at``."""
    until = known_until(settings, as_of, known_at)
    return until is not None and matures_at(settings, cohort) <= until


def outcomes(settings: Settings, scored: pd.DataFrame, cohort: datetime, known_at: datetime) -> npt.NDArray[np.bool_]:
    """Who of the customers scored at ``cohort`` churned, shape (rows of ``scored``,).

    The label is that of training. The cohort must be mature at ``known_at``.

    Raises:
        RuntimeError: A scored customer was never active: scores and data do not belong together.
    """
    churned = outcomes_of(settings, scored[[ENTITY_KEY]].assign(cutoff=cohort), known_at)
    if churned.isna().any():
        missing = scored[ENTITY_KEY][churned.isna().to_numpy()].iloc[0]
        raise RuntimeError(f"Customer {missing!r} was scored at {cohort:%Y-%m-%d} but is not in the data as active.")
    return churned.to_numpy(dtype=bool)


def outcomes_of(settings: Settings, rows: pd.DataFrame, known_at: datetime) -> "pd.Series[bool]":
    """Who churned, by customer_id and cutoff of ``rows``: nullable, and null of who was not active before the cut-off.

    Every cut-off must be mature at ``known_at``.
    """
    cutoffs = [pd.Timestamp(cutoff).to_pydatetime() for cutoff in sorted(rows["cutoff"].unique())]
    connection = ibis.duckdb.connect()
    transactions = known_transactions(
        connection.read_parquet(transactions_glob(settings)), matures_at(settings, cutoffs[-1]), known_at
    )
    labels = connection.to_pandas(churn_labels(transactions, cutoffs, settings.horizon_days, settings.activity_days))
    connection.disconnect()
    keys = [ENTITY_KEY, "cutoff"]
    frames = [frame.astype({"cutoff": "datetime64[us, UTC]"}) for frame in (rows[keys], labels)]
    return frames[0].merge(frames[1], how="left", on=keys)["churned"].astype("boolean")
