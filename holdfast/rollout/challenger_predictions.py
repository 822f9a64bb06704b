"""What the prediction log holds of the version on trial since a step began."""

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
    """Predictions of one version on one route.

    ``requests`` is how many there were, ``judged`` how many of them were about active customers. Of each customer the
    latest one is kept: ``probabilities`` (customers,), the ``x`` (customers, inputs) that they were made of, and who is
    ``active`` (customers,). ``differing`` names a customer of whom two versions were given different inputs for the
    same moment from the same stored features; empty where there is none.
    """

    requests: int
    probabilities: Floats
    x: Floats
    active: Bools
    judged: int
    differing: str = ""

    @classmethod
    def none(cls, inputs: int) -> "ChallengerPredictions":
        """Before there are any."""
        return cls(0, np.empty(0), np.empty((0, inputs)), np.empty(0, dtype=bool), 0)


def read_predictions(
    settings: Settings, version: str, route: str, contract: ServedModel, since: datetime
) -> ChallengerPredictions:
    """Those answered from ``since`` on, by the clock of the service.

    All replicas whose log is in this folder count; those with a log of their own are not seen.
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
    """The same as :func:`read_answers`, again and again over a day: each look reads what is new.

    Of each customer the latest row is kept, and of every row two hashes: of the stored features and the moment that its
    inputs were made of, and of the inputs. Where two versions' hashes of the same moment differ, the whole log says
    whether, and in what, the inputs do.
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
        """Those up to now; the same object where there are no new ones."""
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
    """Those known and those of ``rows``, and the latter alone."""
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
    """All where the model does not read how long ago a customer bought."""
    return active_mask(
        rows[RECENCY_FEATURE] if RECENCY_FEATURE in rows else np.zeros(len(rows)), contract.activity_days
    )


def _latest(table: pa.Table, by: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = table.sort_by("answered_at").to_pandas().drop_duplicates(by, keep="last")
    return frame


def _differing(table: pa.Table, others: list[pa.Table], inputs: list[str]) -> str:
    """Stored features of the same moments and the same ``as_of`` make the same inputs, whoever reads them."""
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
