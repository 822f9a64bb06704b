"""Small shop with a country per customer, which has a known effect on churn, as a feature of type String.

The attribute is made up: the first two letters of the customer's id. About 340 customers over 18 months.
"""

import functools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pytest

from feature_repo.settings import Settings
from feature_repo.timestamps import DAY_US
from tests.support.feature_oracle import Transaction
from tests.support.main_job import STATE
from tests.support.small_shop import AS_OF, FIRST, KNOWN_AT, ingest, use_data_folder

VIEW = "customer_profile"
# First letters of the id to the country, the number of customers, and the mean days that they stay.
COUNTRIES: dict[str, tuple[str | None, int, float]] = {
    "fr": ("France", 110, 90.0),
    "at": ("Österreich", 110, 900.0),
    "cn": ("中国", 60, 300.0),
    "em": ("", 40, 300.0),
    "no": (None, 15, 300.0),
    "mt": ("Malta", 5, 300.0),
}


def profile(transactions: ir.Table) -> ir.Table:
    """Build the country of each customer with a purchase."""
    table = transactions.group_by("customer_id").aggregate(purchases=(transactions.amount > 0).sum())
    table = table.filter(table.purchases > 0)
    countries = [(letters, country) for letters, (country, _, _) in COUNTRIES.items() if country is not None]
    country = table.customer_id.substr(0, 2).cases(*countries, else_=ibis.null("string"))
    return table.select("customer_id", country=country)


@functools.cache
def country_transactions() -> list[Transaction]:
    """Generate the purchases of all customers; the country decides how long a customer stays."""
    rng = np.random.default_rng(5)
    days = (AS_OF - FIRST).days
    rows: list[Transaction] = []
    for letters, (_, customers, stays) in COUNTRIES.items():
        for number in range(customers):
            day = 0.0 if number == 0 else float(rng.uniform(0, days * 0.7))
            leaves, gap = day + float(rng.exponential(stays)), float(rng.lognormal(3.3, 0.5))
            while day < min(days, leaves):
                time = FIRST + timedelta(microseconds=int(day * DAY_US))
                rows.append(
                    Transaction(f"{letters}-{number:03d}", time, round(float(rng.lognormal(3, 0.8)), 2), KNOWN_AT)
                )
                day += float(rng.exponential(gap)) + 0.05
    return rows


@functools.cache
def _shop_folder() -> Path:
    data = STATE / "country-shop"
    ingest(data, country_transactions(), KNOWN_AT)
    return data


@contextmanager
def use_country_shop(folder: Path, slice_only: bool = False, **variables: str) -> Iterator[Settings]:
    """Use a copy of the shop in this process, with the country as last input, or for slices only."""
    data = Path(shutil.copytree(_shop_folder(), folder / "data"))
    with use_data_folder(data, **variables) as settings, pytest.MonkeyPatch.context() as patch:
        _add_country(patch, slice_only)
        yield settings


def _add_country(patch: pytest.MonkeyPatch, slice_only: bool) -> None:
    """Add the view of the country to the definitions of this process, and unless it is for slices to the service."""
    from feast import FeatureService, Field
    from feast.types import String

    from feature_repo import data_sources, definitions, feature_services, feature_views, transformations
    from feature_repo.snapshot_view import SnapshotView

    patch.setitem(transformations.BUILDERS, VIEW, profile)
    source = data_sources._snapshot_source(VIEW, "the profile")
    like = feature_views.customer_purchase_history
    view = SnapshotView(
        name=VIEW,
        entities=[definitions.customer],
        schema=[feature_views._KEY, Field(name="country", dtype=String, description="Country of the customer.")],
        source=source,
        ttl=like.ttl,
        description="Profile of the customer. Null where the country is not known.",
        owner=like.owner,
        tags=like.tags | {"nullable": "country"} | ({"slice_only": "country"} if slice_only else {}),
    )
    on_demand = definitions.customer_request_time
    service = FeatureService(
        name=definitions.churn_v1.name,
        features=[
            definitions.customer_purchase_history[["purchase_days", "total_amount", "mean_purchase_amount"]],
            definitions.customer_recent_activity,
            definitions.customer_purchase_rhythm,
            on_demand,
            *([] if slice_only else [view]),
        ],
        tags=definitions.churn_v1.tags,
    )
    patch.setattr(data_sources, "profile_snapshots", source, raising=False)
    patch.setattr(feature_views, VIEW, view, raising=False)
    patch.setattr(feature_services, "churn_v1", service)
    for name, item in {"churn_v1": service, VIEW: view, "profile_snapshots": source}.items():
        patch.setattr(definitions, name, item, raising=False)
    patch.setattr(definitions, "__all__", [*definitions.__all__, VIEW, "profile_snapshots"])
