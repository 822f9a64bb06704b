"""Aging of a population: its inputs after some days in which no customer bought more or less than before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from feature_repo.names import REQUEST_TIME
from feature_repo.timestamps import DAY_US
from holdfast.core.definition_hashes import list_on_demand_views
from holdfast.core.types import Floats
from holdfast.models.label import RECENCY_FEATURE

if TYPE_CHECKING:
    from feast import FeatureStore

_TENURE, _PURCHASE_DAYS = "tenure_days", "purchase_days"
_GAP = "mean_gap_days"  # unknown: lateness stays as it is, as the recency does


@dataclass(frozen=True)
class OnDemandFunction:
    """Function of an on-demand view.

    Attributes:
        inputs: Names of the stored features and request fields that the function reads.
        compute: Function of the names to one value per customer.
    """

    inputs: frozenset[str]
    compute: Callable[[dict[str, list[Any]]], dict[str, list[Any]]]


def load_on_demand_functions(store: "FeatureStore") -> list[OnDemandFunction]:
    """Load the functions of the on-demand views of the feature service, as Feast's registry holds them.

    Args:
        store: Feast store of a version of the definitions.

    Returns:
        One function per view.
    """
    functions = []
    for view in list_on_demand_views(store):
        projections, requests = view.source_feature_view_projections, view.source_request_sources
        fields = [field for projection in projections.values() for field in projection.features]
        fields += [field for source in requests.values() for field in source.schema]
        assert view.feature_transformation is not None
        functions.append(OnDemandFunction(frozenset(field.name for field in fields), view.feature_transformation.udf))
    return functions


def age_customers(
    names: Sequence[str], rows: Floats, days: float, functions: Sequence[OnDemandFunction] = ()
) -> Floats:
    """Age customers by some days, with unchanged activity: only the tenure grows.

    Without new customers, tenure grows by one day per day, and the inputs that are computed from tenure at the request,
    such as ``silence_share``, change with tenure: this is no drift.

    Args:
        names: Names of the columns.
        rows: Inputs, shape (customers, names).
        days: Days to add.
        functions: On-demand functions; one that reads other features than tenure, recency and purchase days is left
            out, and so are its outputs.

    Returns:
        The aged inputs, shape (customers, names).
    """
    aged = rows.copy()
    if _TENURE in names:
        aged[:, names.index(_TENURE)] += days
        if RECENCY_FEATURE in names and _PURCHASE_DAYS in names:
            for name, values in _compute_request_inputs(names, aged, functions).items():
                if name in names and name not in (_TENURE, RECENCY_FEATURE, "lateness_ratio"):
                    aged[:, names.index(name)] = values
    return aged


def _compute_request_inputs(
    names: Sequence[str], rows: Floats, functions: Sequence[OnDemandFunction]
) -> dict[str, Floats]:
    """Compute the inputs of the request time, except those of the mean gap, from purchase days, tenure and recency."""
    purchase_days, tenure, recency = (rows[:, names.index(name)] for name in (_PURCHASE_DAYS, _TENURE, RECENCY_FEATURE))
    known = ~np.isnan(purchase_days + tenure + recency)
    columns = {
        REQUEST_TIME: np.zeros(known.sum()),
        _PURCHASE_DAYS: purchase_days[known],
        "first_purchase_us": -tenure[known] * DAY_US,
        "last_purchase_us": -recency[known] * DAY_US,
        _GAP: np.full(known.sum(), np.nan),
    }
    complete = {}
    for function in functions:
        if function.inputs <= columns.keys():
            computed = function.compute({name: columns[name].tolist() for name in function.inputs})
            for name, values in computed.items():
                complete[name] = np.full(len(rows), np.nan)
                complete[name][known] = np.array(values, dtype=np.float64)
    return complete
