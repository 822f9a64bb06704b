"""Predictions of a version since the start of a rollout step, from the prediction log."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.prediction_log import TIMESTAMP_SUFFIX, TIMESTAMP_TYPE, IncrementalReader, iter_predictions
from holdfast.core.types import Bools, Floats, Ints
from holdfast.models.contract import ServedModel
from holdfast.models.declaration import declared_name, load_declaration


@dataclass(frozen=True)
class ChallengerPredictions:
    """Predictions of one version on one route; of each customer the latest.

    Attributes:
        requests: Number of requests.
        customer_ids: Ids of the customers, shape (customers,).
        as_of_us: Time of the prediction of each customer, µs since 1970, shape (customers,).
        values: Probabilities or expected values, shape (customers,); NaN where the model has none.
        x: Inputs of the model, shape (customers, inputs).
        active: Mask of active customers, shape (customers,).
        active_requests: Number of requests about active customers.
        input_mismatch: Description of a customer for which two versions on the same feature definitions got different
            inputs from the same stored features for the same ``as_of``; None without one.
    """

    requests: int
    customer_ids: list[str]
    as_of_us: Ints
    values: Floats
    x: Floats
    active: Bools
    active_requests: int
    input_mismatch: str | None = None

    @classmethod
    def empty(cls, inputs: int) -> "ChallengerPredictions":
        """Create an object without predictions.

        Args:
            inputs: Number of inputs of the model.

        Returns:
            The object.
        """
        no_times = np.empty(0, dtype=np.int64)
        return cls(0, [], no_times, np.empty(0), np.empty((0, inputs)), np.empty(0, dtype=bool), 0)


class IncrementalPredictions:
    """Predictions of a step, read repeatedly: each read takes only new rows of the log.

    The reader stores the latest row of each customer and two hashes of every row: one of the stored features and
    ``as_of``, one of the model inputs. If two versions have the same first hash and different second hashes, the whole
    log is searched for the customer.

    Args:
        settings: Settings with the folder of the log. All replicas that log to this folder count, others do not.
        version: Version number.
        route: "shadow", "canary" or "champion".
        contract: Contract of the version.
        since: Start of the step, by the clock of the service.

    Attributes:
        predictions: All predictions at the last read.
    """

    def __init__(self, settings: Settings, version: str, route: str, contract: ServedModel, since: datetime) -> None:
        self._settings, self._since = settings, since
        self._version, self._route, self._contract = version, route, contract
        self._model = load_declaration(declared_name(contract.model_name))
        self._log = IncrementalReader(settings.predictions, since, self._model.name)
        self._latest = pd.DataFrame()
        self._requests = self._active_requests = 0
        self._own_hashes, self._other_hashes = _no_hashes(), _no_hashes()
        self._is_suspect = False
        self.predictions = ChallengerPredictions.empty(len(contract.inputs))

    def read(self) -> ChallengerPredictions:
        """Read new rows.

        Returns:
            All predictions so far; the same object if nothing changed.
        """
        inputs, has_new = self._contract.inputs, False
        for rows in self._log.read_new():  # a file is of one version and route
            is_own = rows["version"][0].as_py() == self._version
            if is_own and rows["route"][0].as_py() == self._route:
                self._append(rows)
                has_new = True
                self._own_hashes, new = _with_hashes(self._own_hashes, rows, inputs)
                self._is_suspect = self._is_suspect or _disagree(new, self._other_hashes)
            elif not is_own and _is_comparable(rows, self._contract):
                self._other_hashes, new = _with_hashes(self._other_hashes, rows, inputs)
                self._is_suspect = self._is_suspect or _disagree(new, self._own_hashes)
        if has_new:
            latest = self._latest
            scores, x = latest[self._model.prediction_column].to_numpy(np.float64), latest[inputs].to_numpy(np.float64)
            active = _is_active(latest, self._contract)
            times = latest["as_of"].to_numpy("datetime64[us]").astype(np.int64)
            customers = latest[ENTITY_KEY].tolist()
            self.predictions = ChallengerPredictions(
                self._requests, customers, times, scores, x, active, self._active_requests
            )
        if self._is_suspect:
            mismatch = _find_mismatch(self._settings, self._version, self._route, self._contract, self._since)
            if mismatch != self.predictions.input_mismatch:
                self.predictions = replace(self.predictions, input_mismatch=mismatch)
        return self.predictions

    def _append(self, rows: pa.Table) -> None:
        columns = [ENTITY_KEY, "as_of", "answered_at", self._model.prediction_column, *self._contract.inputs]
        new = rows.select(columns).to_pandas()
        self._requests += len(new)
        self._active_requests += int(_is_active(new, self._contract).sum())
        both = pd.concat([self._latest, new]) if len(self._latest) else new
        self._latest = both.sort_values("answered_at", kind="stable").drop_duplicates(ENTITY_KEY, keep="last")


def _no_hashes() -> pd.DataFrame:
    return pd.DataFrame({"sources": np.empty(0, np.uint64), "inputs": np.empty(0, np.uint64)})


def _with_hashes(known: pd.DataFrame, rows: pa.Table, inputs: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the known hashes with those of ``rows``, and the latter alone."""
    views = sorted(name for name in rows.column_names if name.endswith(TIMESTAMP_SUFFIX))
    sources = rows.select([ENTITY_KEY, "as_of", *views]).to_pandas()
    values = rows.select(inputs).to_pandas().to_numpy(np.float64) + 0.0  # negative zeros become zeros,
    values[np.isnan(values)] = np.nan  # and all NaNs the same NaN
    new = pd.DataFrame({"sources": _hash_rows(sources), "inputs": _hash_rows(pd.DataFrame(values))}).drop_duplicates()
    return pd.concat([known, new]).drop_duplicates(), new


def _hash_rows(frame: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), np.uint64)


def _disagree(new: pd.DataFrame, others: pd.DataFrame) -> bool:
    both = new.merge(others, on="sources")
    return bool((both["inputs_x"] != both["inputs_y"]).any())


def _is_active(rows: pd.DataFrame, contract: ServedModel) -> Bools:
    """Return the mask of active customers; all of them if the log has no input that decides it."""
    activity = contract.terms.activity
    return activity.mask(rows[activity.feature]) if activity.feature in rows else np.ones(len(rows), dtype=bool)


def _is_comparable(rows: pa.Table, contract: ServedModel) -> bool:
    """Check that a file of another version has the inputs of the contract, by the same feature definitions."""
    definitions = rows["definitions"][0].as_py()
    return definitions in (None, contract.definitions) and set(contract.inputs) <= set(rows.column_names)


def _find_mismatch(settings: Settings, version: str, route: str, contract: ServedModel, since: datetime) -> str | None:
    """Describe a customer with different inputs in two model versions, from the whole log; None without one."""
    own: list[pa.Table] = []
    others: list[pa.Table] = []
    for table in iter_predictions(settings.predictions, since, model=declared_name(contract.model_name)):
        rows = table.filter(pc.greater_equal(table["answered_at"], pa.scalar(since, TIMESTAMP_TYPE)))
        if not rows.num_rows:
            continue
        if rows["version"][0].as_py() != version:
            if _is_comparable(rows, contract):
                others.append(rows)
        elif rows["route"][0].as_py() == route:
            own.append(rows)
    if not own or not others:
        return None
    table, other = (pa.concat_tables(tables, promote_options="default") for tables in (own, others))
    views = [name for name in table.column_names if name.endswith(TIMESTAMP_SUFFIX) and name in other.column_names]
    by = [ENTITY_KEY, "as_of", *views]
    other = other.filter(pc.is_in(other[ENTITY_KEY], pc.unique(table[ENTITY_KEY])))
    both = _latest_rows(table, by).merge(_latest_rows(other, by), on=by, suffixes=("", "_other"))
    for name in contract.inputs:
        own_values, other_values = both[name].to_numpy(np.float64), both[f"{name}_other"].to_numpy(np.float64)
        is_equal = (own_values == other_values) | (np.isnan(own_values) & np.isnan(other_values))
        different: Ints = np.flatnonzero(~is_equal)
        if len(different):
            row = int(different[0])
            customer, one, two = both[ENTITY_KEY].iloc[row], float(own_values[row]), float(other_values[row])
            return f"{name} of customer {customer} was {one!r}, and {two!r} for the other"
    return None


def _latest_rows(table: pa.Table, by: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = table.sort_by("answered_at").to_pandas().drop_duplicates(by, keep="last")
    return frame
