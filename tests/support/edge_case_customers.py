"""Customers whose stored features are incomplete, null or of different ages."""

import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd

from feature_repo.timestamps import epoch_us
from tests.support.definition_versions import open_only
from tests.support.service_fixtures import service_environment
from tests.support.service_state import AS_OF

_HISTORY, _ACTIVITY, _RHYTHM = (
    "customer_purchase_history",
    "customer_recent_activity",
    "customer_purchase_rhythm",
)


def add_edge_case_customers(service_data: Path, folder: Path) -> Path:
    """Copy ``service_data`` to ``folder`` and add the customers, as variants of customer c001."""
    shutil.copytree(service_data, folder)
    with service_environment(folder):
        store = open_only(folder)

        def write(view: str, customer: str, age: timedelta = timedelta(0), **values: object) -> None:
            rows = pd.concat([pd.read_parquet(file) for file in (service_data / "snapshots" / view).rglob("*.parquet")])
            row = rows[rows.customer_id == "c001"].assign(customer_id=customer, as_of=AS_OF - age, **values)
            store.write_to_online_store(view, row)

        write(_HISTORY, "history-only")
        for view in (_HISTORY, _ACTIVITY):
            write(view, "no-rhythm")
        for view in (_HISTORY, _ACTIVITY, _RHYTHM):
            write(view, "null-total", **({"total_amount": None} if view == _HISTORY else {}))
            write(view, "one-view-1-day-older", timedelta(days=1 if view == _RHYTHM else 0))
            write(view, "3-days-old", timedelta(days=3))
            write(view, "31-days-old", timedelta(days=31))
            for name, age_us in [("bought-180-days-ago", 0), ("bought-longer-ago", 1)]:
                bought = epoch_us(AS_OF - timedelta(days=180, microseconds=age_us))
                write(view, name, **({"last_purchase_us": bought} if view == _HISTORY else {}))
    return folder
