"""Training set: labels at each cut-off, joined with point-in-time features through the feature service."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.labels import LabelFunction
from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.settings import Settings
from feature_repo.timestamps import DAY_US, epoch_us
from feature_repo.transformations import known_rows
from holdfast.core.types import Bools, Floats
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.historical_features import join_features, join_unserved_features
from holdfast.feature_store.schemas import Labels, SpendLabels
from holdfast.feature_store.snapshots import NoDataError, build_snapshots
from holdfast.ingestion.history_extent import read_extent
from holdfast.ingestion.tables import scan_table
from holdfast.models.categories import category_code, encode_categories
from holdfast.models.contract import (
    Feature,
    MissingFeatureError,
    input_matrix,
    model_inputs,
    slice_only_features,
)
from holdfast.models.label import LabelDefinition, LabelTerms
from holdfast.training.label_extent import read_label_extent
from holdfast.training.label_query import current_label, query_labels, scan_label_tables
from holdfast.training.labeled_cutoffs import LabeledCutoffs, select_labeled_cutoffs

# Simple models, customer groups and behavioral tests read these features, whether or not the model does.
EVALUATION_FEATURES = (
    "days_since_last_purchase",
    "tenure_days",
    "purchase_days",
    "mean_purchase_amount",
    "total_amount",
    "mean_gap_days",
)

_label_function: ContextVar[LabelFunction | None] = ContextVar("label_function", default=None)


@contextmanager
def use_label_function(function: LabelFunction) -> Iterator[None]:
    """Label every training set that is assembled in this context by another function than that of the settings.

    Args:
        function: Label function, as in ``feature_repo.labels``.

    Yields:
        None, while the function is in use.
    """
    token = _label_function.set(function)
    try:
        yield
    finally:
        _label_function.reset(token)


class PurchaseHistory(NamedTuple):
    """Purchase history of customers, in the terms of BG/NBD; each field of shape (customers,).

    Attributes:
        repeats: Purchase days after the first.
        last: Days from the first to the last purchase.
        age: Days from the first purchase to the cut-off.
    """

    repeats: Floats
    last: Floats
    age: Floats


@dataclass(frozen=True)
class TrainingSet:
    """Labeled rows, sorted by cut-off and customer.

    Attributes:
        keys: Columns customer_id and cutoff.
        x: Inputs, shape (rows, inputs).
        y: True for churn, shape (rows,).
        target: Outcome of a regression, shape (rows,); None for a classification.
        inputs: Features in the order of the columns of ``x``.
        other_features: Features that the model does not read but simple models, customer groups or behavioral tests do:
            name to values, shape (rows,).
        histories: Cut-off to the purchase history of every customer known at it, active or not.
        terms: Terms of the label.
        texts: Each feature that is a text to its distinct texts, sorted; not only those of these rows.
    """

    keys: pd.DataFrame
    x: Floats
    y: Bools
    inputs: list[Feature]
    histories: Mapping[datetime, PurchaseHistory] = field(default_factory=dict)
    terms: LabelTerms = field(default_factory=LabelTerms)
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    other_features: Mapping[str, Floats] = field(default_factory=dict)
    target: Floats | None = None

    @property
    def feature_names(self) -> list[str]:
        """Return the names of the inputs and of the other features."""
        return [*(feature.name for feature in self.inputs), *self.other_features]

    def at_cutoffs(self, cutoffs: Sequence[datetime]) -> "TrainingSet":
        """Select the rows and histories of cut-offs.

        Args:
            cutoffs: Cut-offs to select.

        Returns:
            Rows in their order.
        """
        rows = self.take(np.flatnonzero(self.keys["cutoff"].isin(list(cutoffs))))
        return replace(
            rows, histories={cutoff: self.histories[cutoff] for cutoff in self.histories if cutoff in cutoffs}
        )

    def take(self, rows: npt.NDArray[np.intp]) -> "TrainingSet":
        """Select rows by position; the histories stay.

        Args:
            rows: Positions; a position may occur more than once.

        Returns:
            Rows in the order of the positions.
        """
        return replace(
            self,
            keys=self.keys.iloc[rows].reset_index(drop=True),
            x=self.x[rows],
            y=self.y[rows],
            target=None if self.target is None else self.target[rows],
            other_features={name: values[rows] for name, values in self.other_features.items()},
        )

    def column(self, name: str) -> Floats:
        """Return one input, or one of the other features.

        Args:
            name: Name of the feature.

        Returns:
            Values, shape (rows,).
        """
        if name in self.other_features:
            return self.other_features[name]
        return self.x[:, [feature.name for feature in self.inputs].index(name)]

    def text_column(self, name: str) -> list[str | None]:
        """Return the texts of a categorical input.

        Args:
            name: Name of the input.

        Returns:
            Text per row; None where it is missing.
        """
        texts = {category_code(text): text for text in self.texts[name]}
        return [texts.get(code) for code in self.column(name).tolist()]

    def digests(self) -> dict[str, str]:
        """Compute the digests of the keys ("rows"), the labels, the histories and the bits of each input.

        Returns:
            Name to SHA-256.
        """
        columns = {feature.name: np.ascontiguousarray(self.x[:, i]) for i, feature in enumerate(self.inputs)}
        rows = "\n".join(self.keys["customer_id"]).encode() + self.keys["cutoff"].astype("int64").to_numpy().tobytes()
        histories = b"".join(
            f"{cutoff.isoformat()} {len(history.age)} ".encode() + np.concatenate(history).tobytes()
            for cutoff, history in sorted(self.histories.items())
        )
        labels = self.y.tobytes() + (b"" if self.target is None else self.target.tobytes())
        parts = {"rows": rows, "labels": labels, "histories": histories}
        parts |= {name: x.tobytes() for name, x in columns.items()}
        return {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}


def read_purchase_histories(
    settings: Settings, cutoffs: Sequence[datetime], known_at: datetime
) -> dict[datetime, PurchaseHistory]:
    """Read the purchase history of every customer known at each cut-off, active or not.

    Args:
        settings: Settings with the data folder.
        cutoffs: Cut-offs.
        known_at: Latest arrival of the data.

    Returns:
        Cut-off to the history of the customers with a purchase, in order of the cut-offs.
    """
    connection = ibis.duckdb.connect()
    try:
        rows = scan_table(connection, settings, known_at=known_at)
        return {cutoff: _read_purchase_history(rows, cutoff, known_at) for cutoff in sorted(cutoffs)}
    finally:
        connection.disconnect()


def _read_purchase_history(rows: ir.Table, cutoff: datetime, known_at: datetime) -> PurchaseHistory:
    purchases = known_rows(rows, cutoff, known_at).filter(lambda row: row.amount > 0)
    histories = purchases.group_by("customer_id").aggregate(
        days=purchases.event_timestamp.date().nunique(),
        first=purchases.event_timestamp.min(),
        last=purchases.event_timestamp.max(),
    )
    table = histories.order_by("customer_id").drop("customer_id").to_pyarrow()
    days = table["days"].to_numpy().astype(np.float64)
    first, last = (
        table[name].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() for name in ("first", "last")
    )
    repeats = days - 1
    # Two purchases on one day are no repeat purchase.
    last_day = np.where(repeats > 0, (last - first) / DAY_US, 0.0)
    return PurchaseHistory(repeats, last_day, (epoch_us(cutoff) - first) / DAY_US)


def find_labeled_cutoffs(
    settings: Settings,
    as_of: datetime,
    known_at: datetime,
    min_history_days: int,
    terms: LabelTerms | None = None,
) -> LabeledCutoffs:
    """Find the monthly cut-offs whose outcomes are known at ``as_of`` and covered by data.

    Where the data end before ``as_of``, or have a gap, days without data are not days without purchases or renewals.

    Args:
        settings: Settings with the data folder and the label.
        as_of: Time of the training.
        known_at: Latest arrival of the data.
        min_history_days: History before the earliest cut-off, in days.
        terms: Terms of the label of a model; None for those of ``settings``.

    Returns:
        Cut-offs to use, and those that a gap touches.

    Raises:
        NoDataError: No transaction had arrived by ``known_at``.
        NoSubscriptionsError: The label needs the ends of subscriptions, and there are none.
    """
    terms = terms or LabelTerms.of(settings)
    extent = read_label_extent(settings, terms, known_at, as_of)
    if extent is None:
        if read_extent(settings, known_at):  # all of them are later
            return LabeledCutoffs([], {}, terms.outcome_days)
        raise NoDataError(
            f"No transaction had arrived by {known_at:%Y-%m-%d %H:%M} UTC. Ingest data first (python -m flows.ingest)."
        )
    return select_labeled_cutoffs(
        extent.begin,
        min(as_of, extent.end),
        extent.gaps,
        terms.outcome_days,
        terms.activity_days,
        min_history_days,
    )


def assemble_training_set(
    settings: Settings,
    definitions: str,
    cutoffs: Sequence[datetime],
    as_of: datetime,
    known_at: datetime,
    label: LabelDefinition | None = None,
) -> TrainingSet:
    """Label every active customer at every cut-off and join the point-in-time features.

    Args:
        settings: Settings with the data folder.
        definitions: Id of the version of the feature definitions.
        cutoffs: Cut-offs, whose snapshots must exist.
        as_of: Latest event of the labels.
        known_at: Latest arrival of the data.
        label: Label of a model version; None for the label of the code and ``settings``.

    Returns:
        Training set.

    Raises:
        MissingFeatureError: A labeled customer without features, or a feature service without the input that decides
            which customers are active.
        SliceOnlyInputError: The feature service reads a feature that defines slices only.
    """
    label = label or current_label(settings, _label_function.get())
    labels = _labels(settings, label, cutoffs, as_of, known_at)
    entities = labels.rename(columns={"cutoff": "event_timestamp"})[[ENTITY_KEY, "event_timestamp"]]
    entities[REQUEST_TIME] = entities["event_timestamp"].astype("int64")  # datetime64[us]
    store = open_version(settings, definitions, known_at)
    # Feast does not preserve the order of the requested rows.
    order = [("event_timestamp", "ascending"), (ENTITY_KEY, "ascending")]
    joined, inputs = join_features(store, entities).sort_by(order), model_inputs(store)
    unserved = {*EVALUATION_FEATURES, *slice_only_features(store)} - {feature.name for feature in inputs}
    if (needed := label.activity.feature) not in {feature.name for feature in inputs}:
        raise MissingFeatureError(
            f"The feature service {FEATURE_SERVICE} has no {needed}, which with the label {label.name} defines the "
            "active customers of a service and of batch scoring. Restore it in feature_repo/feature_services.py, or "
            "set HOLDFAST_LABEL to the same value for `python -m flows.features` as here."
        )
    others = join_unserved_features(store, entities, unserved).sort_by(order) if unserved else joined
    columns = {feature.name: joined[feature.name].to_numpy() for feature in inputs}
    keys = labels[[ENTITY_KEY, "cutoff"]]
    if joined[ENTITY_KEY].to_pylist() != keys[ENTITY_KEY].tolist():
        raise RuntimeError("The point-in-time join returned other rows than the labels.")
    x, churned = input_matrix(inputs, columns), labels["churned"].to_numpy(dtype=bool)
    histories = read_purchase_histories(settings, cutoffs, known_at)
    other_columns = {name: others[name] for name in sorted(unserved) if name in others.column_names}
    served_columns = {feature.name: joined[feature.name] for feature in inputs}
    texts = {
        name: tuple(pc.unique(column).drop_null().sort().to_pylist())
        for name, column in (served_columns | other_columns).items()
        if pa.types.is_string(column.type)
    }
    other_features = {
        name: encode_categories(column.to_pylist()) if name in texts else column.to_numpy().astype(np.float64)
        for name, column in other_columns.items()
    }
    target = labels["spend"].to_numpy(dtype=np.float64) if "spend" in labels else None
    return TrainingSet(keys, x, churned, inputs, histories, label, texts, other_features, target)


def build_training_set(
    settings: Settings,
    definitions: str,
    cutoffs: Sequence[datetime],
    as_of: datetime,
    known_at: datetime,
    report: Callable[[str], object] = lambda text: None,
    label: LabelDefinition | None = None,
) -> TrainingSet:
    """Build the snapshots of the cut-offs and assemble the training set.

    Args:
        settings: Settings with the data folder, the horizon and the activity window.
        definitions: Id of the version of the feature definitions.
        cutoffs: Cut-offs.
        as_of: Latest event of the labels.
        known_at: Latest arrival of the data.
        report: Called with a description of each step.
        label: As in :func:`assemble_training_set`.

    Returns:
        Training set.

    Raises:
        NoDataError: No transaction before a cut-off had arrived by ``known_at``.
        MissingFeatureError: A labeled customer without features.
    """
    store = open_version(settings, definitions)
    for number, cutoff in enumerate(cutoffs, start=1):
        report(f"building the features of cut-off {number} of {len(cutoffs)}")
        build_snapshots(settings, store, cutoff, known_at)
    report("joining labels and features")
    return assemble_training_set(settings, definitions, cutoffs, as_of, known_at, label)


def _labels(
    settings: Settings, label: LabelDefinition, cutoffs: Sequence[datetime], as_of: datetime, known_at: datetime
) -> pd.DataFrame:
    connection = ibis.duckdb.connect()
    labels = query_labels(connection, label, scan_label_tables(connection, settings, label, as_of, known_at), cutoffs)
    frame = connection.to_pandas(labels.order_by("cutoff", "customer_id"))
    connection.disconnect()
    schema = SpendLabels if "spend" in frame else Labels
    return schema.validate(frame, lazy=True)
