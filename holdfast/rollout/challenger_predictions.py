"""Logged predictions of the challenger since a rollout step began."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.batch_scoring.population import active_mask
from holdfast.core.prediction_log import TIMESTAMP_SUFFIX, TIMESTAMP_TYPE, IncrementalReader, iter_predictions
from holdfast.core.types import Bools, Floats
from holdfast.models.contract import RECENCY_FEATURE, ServedModel


@dataclass(frozen=True)
class ChallengerPredictions:
    """Predictions of one version on one route; of each customer the latest prediction.

    Attributes:
        requests: Number of predictions.
        probabilities: Churn probabilities, shape (customers,).
        x: Model inputs of these probabilities, shape (customers, inputs).
        active: Active customers, shape (customers,).
        judged: Number of predictions about active customers.
        differing: One customer for whom two versions got different inputs from the same stored features; empty if there
            is none.
    """

    requests: int
    probabilities: Floats
    x: Floats
    active: Bools
    judged: int
    differing: str = ""

    @classmethod
    def none(cls, inputs: int) -> "ChallengerPredictions":
        """Build the value before the first prediction.

        Args:
            inputs: Number of model inputs.

        Returns:
            No predictions.
        """
        return cls(0, np.empty(0), np.empty((0, inputs)), np.empty(0, dtype=bool), 0)


def read_predictions(
    settings: Settings, version: str, route: str, contract: ServedModel, since: datetime
) -> ChallengerPredictions:
    """Read the predictions answered since a time, by the clock of the service.

    Replicas that log into this folder count; replicas with a separate log do not.

    Args:
        settings: Settings with the folder of the prediction log.
        version: Version of the predictions.
        route: Route of the predictions: shadow, canary or champion.
        contract: Contract of the version.
        since: Begin of the step, UTC.

    Returns:
        The predictions.
    """
    inputs = contract.inputs
    tried: list[pa.Table] = []
    others: list[pa.Table] = []  # of versions that are given the same inputs
    for table in iter_predictions(settings.predictions, since):
        rows = table.filter(pc.greater_equal(table["answered_at"], pa.scalar(since, TIMESTAMP_TYPE)))
        if not rows.num_rows:
            continue
        if rows["version"][0].as_py() != version:  # a file is of one version and route
            if set(inputs) <= set(rows.column_names):
                others.append(rows)
        elif rows["route"][0].as_py() == route:
            tried.append(rows)
    if not tried:
        return ChallengerPredictions.none(len(inputs))
    table = pa.concat_tables(tried, promote_options="default")
    customers = pc.unique(table[ENTITY_KEY])
    same = [rows.filter(pc.is_in(rows[ENTITY_KEY], customers)) for rows in others]
    latest = _latest(table, [ENTITY_KEY])
    return ChallengerPredictions(
        table.num_rows,
        latest["churn_probability"].to_numpy(np.float64),
        latest[inputs].to_numpy(np.float64),
        _active(latest, contract),
        int(
            _active(
                table.select([RECENCY_FEATURE] if RECENCY_FEATURE in inputs else [ENTITY_KEY]).to_pandas(), contract
            ).sum()
        ),
        _differing(table, same, inputs) if same else "",
    )


class IncrementalPredictions:
    """Predictions since a time, read incrementally: each call of :meth:`read` reads new rows only.

    Of each customer the latest row is stored, and of every row two hashes: of stored features with request time, and of
    the inputs. If two versions have different input hashes for the same features, the whole log is read to find the
    difference.
    """

    def __init__(self, settings: Settings, version: str, route: str, contract: ServedModel, since: datetime) -> None:
        self._all = (settings, version, route, contract, since)
        self._version, self._route, self._contract = version, route, contract
        self._log = IncrementalReader(settings.predictions, since)
        self._latest = pd.DataFrame()
        self._requests = self._judged = 0
        self._tried, self._others = _no_hashes(), _no_hashes()
        self._suspected = False
        self._answers = ChallengerPredictions.none(len(contract.inputs))

    def read(self) -> ChallengerPredictions:
        """Read new rows of the log.

        Returns:
            All predictions up to now; the same object if there is no new row.
        """
        grown = False
        for rows in self._log.read_new():
            is_own, inputs = rows["version"][0].as_py() == self._version, self._contract.inputs
            if is_own and rows["route"][0].as_py() == self._route:
                self._take(rows)
                grown = True
                self._tried, new = _with_hashes(self._tried, rows, inputs)
                self._suspected = self._suspected or _differ(new, self._others)
            elif not is_own and set(inputs) <= set(rows.column_names):
                self._others, new = _with_hashes(self._others, rows, inputs)
                self._suspected = self._suspected or _differ(new, self._tried)
        if self._suspected:
            return read_predictions(*self._all)
        if grown:
            latest, inputs = self._latest, self._contract.inputs
            scores, x = latest["churn_probability"].to_numpy(np.float64), latest[inputs].to_numpy(np.float64)
            self._answers = ChallengerPredictions(
                self._requests, scores, x, _active(latest, self._contract), self._judged
            )
        return self._answers

    def _take(self, rows: pa.Table) -> None:
        new = rows.select([ENTITY_KEY, "answered_at", "churn_probability", *self._contract.inputs]).to_pandas()
        self._requests += len(new)
        self._judged += int(_active(new, self._contract).sum())
        both = pd.concat([self._latest, new]) if len(self._latest) else new
        self._latest = both.sort_values("answered_at", kind="stable").drop_duplicates(ENTITY_KEY, keep="last")


def _no_hashes() -> pd.DataFrame:
    return pd.DataFrame({"moment": np.empty(0, np.uint64), "inputs": np.empty(0, np.uint64)})


def _with_hashes(known: pd.DataFrame, rows: pa.Table, inputs: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the known hashes with those of ``rows``, and those of ``rows`` alone."""
    views = sorted(name for name in rows.column_names if name.endswith(TIMESTAMP_SUFFIX))
    moments = rows.select([ENTITY_KEY, "as_of", *views]).to_pandas()
    values = rows.select(inputs).to_pandas().to_numpy(np.float64) + 0.0  # a negative zero is a zero,
    values[np.isnan(values)] = np.nan  # and a NaN a NaN
    hashed = {"moment": _hashed(moments), "inputs": _hashed(pd.DataFrame(values))}
    new = pd.DataFrame(hashed).drop_duplicates()
    return pd.concat([known, new]).drop_duplicates(), new


def _hashed(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), np.uint64)


def _differ(new: pd.DataFrame, others: pd.DataFrame) -> bool:
    both = new.merge(others, on="moment")
    return bool((both["inputs_x"] != both["inputs_y"]).any())


def _active(rows: pd.DataFrame, contract: ServedModel) -> Bools:
    """Mark active customers; all customers if recency is no input of the model."""
    return active_mask(
        rows[RECENCY_FEATURE] if RECENCY_FEATURE in rows else np.zeros(len(rows)), contract.activity_days
    )


def _latest(table: pa.Table, by: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = table.sort_by("answered_at").to_pandas().drop_duplicates(by, keep="last")
    return frame


def _differing(table: pa.Table, others: list[pa.Table], inputs: list[str]) -> str:
    """Find inputs that differ between versions although stored features and ``as_of`` are equal."""
    other = pa.concat_tables(others, promote_options="default")
    views = [name for name in table.column_names if name.endswith(TIMESTAMP_SUFFIX) and name in other.column_names]
    by = [ENTITY_KEY, "as_of", *views]
    both = _latest(table, by).merge(_latest(other, by), on=by, suffixes=("", "_other"))
    for name in inputs:
        mine, theirs = both[name].to_numpy(np.float64), both[f"{name}_other"].to_numpy(np.float64)
        wrong = np.flatnonzero(~((mine == theirs) | (np.isnan(mine) & np.isnan(theirs))))
        if len(wrong):
            row = int(wrong[0])
            customer, one, two = both[ENTITY_KEY].iloc[row], float(mine[row]), float(theirs[row])
            return f"{name} of customer {customer} was {one!r}, and {two!r} for the other"
    return ""
