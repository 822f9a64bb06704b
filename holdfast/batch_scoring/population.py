"""Customers to score, with their model inputs."""

from dataclasses import dataclass
from datetime import datetime

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.types import Floats
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.historical_features import read_features_at
from holdfast.feature_store.snapshots import NoDataError, build_snapshots, read_customers
from holdfast.models.contract import Feature, input_matrix, model_inputs
from holdfast.models.label import LabelDefinition
from holdfast.training.dataset import assemble_training_set
from holdfast.training.label_query import current_label


@dataclass(frozen=True)
class ScoringPopulation:
    """Customers at one time with their model inputs.

    Attributes:
        as_of: Time of the features.
        ids: Customer ids, sorted.
        x: Model inputs, shape (customers, inputs).
        inputs: Definition of each input, in model order.
    """

    as_of: datetime
    ids: list[str]
    x: Floats
    inputs: list[Feature]


def load_all_customers(settings: Settings, definitions: str, as_of: datetime, known_at: datetime) -> ScoringPopulation:
    """Load every customer with a purchase before ``as_of``, active or not.

    Missing snapshots of ``as_of`` are built. The online store, which may have another time, is not read; at the same
    time its values are equal bit for bit (parity check of ``flows.features``).

    Args:
        settings: Settings with the data folder.
        definitions: Id of the version of the feature definitions.
        as_of: Time of the features.
        known_at: Arrival time up to which data count.

    Returns:
        All customers with their model inputs.

    Raises:
        NoDataError: No transaction before ``as_of`` had arrived by ``known_at``.
        MissingFeatureError: A feature that is not nullable is null.
    """
    snapshot = build_snapshots(settings, open_version(settings, definitions), as_of, known_at)[0]
    store, ids = open_store(snapshot.known_at, definitions=definitions), read_customers(snapshot)
    inputs, values = model_inputs(store), read_features_at(store, ids, as_of)
    columns = {feature.name: values[feature.name].to_numpy(zero_copy_only=False) for feature in inputs}
    return ScoringPopulation(as_of, ids, input_matrix(inputs, columns), inputs)


def load_active_customers(
    settings: Settings,
    definitions: str,
    as_of: datetime,
    known_at: datetime,
    label: LabelDefinition | None = None,
) -> ScoringPopulation:
    """Load the customers that are active at ``as_of`` by the label.

    The functions of the training set select and join them, so scoring and training use the same customers. Nothing at
    or after ``as_of`` is read; the labels would be "churned" for all and are dropped. The snapshots of
    ``as_of`` must exist as built at ``known_at``.

    Args:
        settings: Settings with the data folder.
        definitions: Id of the version of the feature definitions.
        as_of: Time of the features.
        known_at: Arrival time up to which data count.
        label: Label of a model version; None for the label of the code and ``settings``.

    Returns:
        Active customers with their model inputs.

    Raises:
        NoDataError: No customer was active.
    """
    label = label or current_label(settings)
    rows = assemble_training_set(settings, definitions, [as_of], as_of, known_at, label)
    if not len(rows.y):
        raise NoDataError(
            f"There is no customer {label.describe_customers(f'{as_of:%Y-%m-%d %H:%M} UTC')}, as known at "
            f"{known_at:%Y-%m-%d %H:%M} UTC: no customer can be scored. Ingest newer data, or choose another time."
        )
    return ScoringPopulation(as_of, rows.keys[ENTITY_KEY].tolist(), rows.x, rows.inputs)
