"""Detection and false alarms of monitoring on real data: `make bench-monitoring`.

The data quality view checks each day of CDNOW from March to June 1998, unchanged and with an injected fault. Then the
inputs of a model trained at 1998-05-01 are compared with its two references, week by week.
"""

import argparse
import gc
import json
import os
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from feature_repo.settings import Settings

FIRST, LAST = datetime(1998, 3, 2, tzinfo=UTC), datetime(1998, 7, 1, tzinfo=UTC)
TRAINED = datetime(1998, 5, 1, tzinfo=UTC)


def count_alarms(settings: Settings) -> dict[str, Any]:
    """Count the days with a finding of the data quality view, unchanged and with each injected fault.

    Args:
        settings: Settings with the data folder.

    Returns:
        Number of days, and of days with a finding by fault.
    """
    from holdfast.monitoring.data_quality import checks as quality_checks
    from holdfast.monitoring.data_quality.queries import (
        DailyCounts,
        TransactionSample,
        count_rows_by_day,
        find_arrivals,
        sample_transactions,
    )
    from holdfast.monitoring.hypothesis_tests import significant_checks
    from holdfast.monitoring.settings import MonitorSettings
    from holdfast.monitoring.window import Window

    rules, alarms, days = MonitorSettings().data, Counter[str](), 0
    as_of = FIRST
    while as_of <= LAST:
        window = Window(as_of - timedelta(days=1), as_of, datetime.now(UTC))
        counts = count_rows_by_day(settings, window, 0)
        assert counts is not None
        arrived, before = find_arrivals(settings, window)
        day, earlier = (
            sample_transactions(settings, window, counts.day, 1),
            sample_transactions(settings, window, counts.day - timedelta(28), 28),
        )

        def has_finding(
            counts: DailyCounts, day: TransactionSample, earlier: TransactionSample, window: Window = window
        ) -> bool:
            checks = [
                *quality_checks.check_volume(counts, window, rules),
                *quality_checks.check_quarantine(arrived, before, rules),  # noqa: B023
                *quality_checks.check_returns(day, earlier, rules),
                *quality_checks.check_values(day, earlier, rules),
            ]
            return bool(significant_checks(checks, rules.alpha)[0].findings)

        fewer = counts.counts.copy()
        fewer.iloc[-1] //= 2
        none = counts.counts.copy()
        none.iloc[-1] = 0
        alarms["unchanged"] += has_finding(counts, day, earlier)
        for factor in (1.1, 1.2, 1.5):
            alarms[f"amounts x{factor}"] += has_finding(counts, _raise_prices(day, factor), earlier)
        alarms["amounts x1.5, no quantity"] += has_finding(
            counts, _raise_prices(_without_quantity(day), 1.5), _without_quantity(earlier)
        )
        alarms["half the rows"] += has_finding(replace(counts, counts=fewer), day, earlier)
        newest = counts.newest - timedelta(days=1)
        alarms["no rows"] += has_finding(replace(counts, counts=none, newest=newest), day, earlier)
        as_of, days = as_of + timedelta(days=1), days + 1
    return {"days": days, "alarms": dict(alarms)}


def _raise_prices(sample: Any, factor: float) -> Any:
    columns = {name: sample.values[name] * factor for name in ("amount", "price")}
    return replace(sample, values=sample.values.assign(**columns))


def _without_quantity(sample: Any) -> Any:
    """Convert to a shop without quantities: each row is one item, with the amount as price."""
    return replace(sample, values=sample.values.assign(quantity=1.0, price=sample.values["amount"]))


def measure_aging(settings: Settings) -> list[dict[str, Any]]:
    """Compare the inputs of the active customers with the training set and the population at training, week by week.

    Args:
        settings: Settings with the data folder.

    Returns:
        One row per week.
    """
    from holdfast.batch_scoring.population import load_active_customers
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.definition_versions import open_version
    from holdfast.feature_store.feast_registry import find_applied_version
    from holdfast.feature_store.snapshots import build_snapshots
    from holdfast.monitoring.drift.aging import load_on_demand_functions
    from holdfast.monitoring.drift.reference import DriftReference
    from holdfast.monitoring.drift.rule import compare_with_reference, mark_drifted
    from holdfast.monitoring.settings import MonitorSettings
    from holdfast.training.dataset import build_training_set, find_labeled_cutoffs
    from holdfast.training.settings import TrainingSettings
    from holdfast.training.time_split import select_closed_cutoffs

    definitions = find_applied_version(settings, open_store())
    store = open_version(settings, definitions)
    now, training = datetime.now(UTC), TrainingSettings()
    cutoffs = find_labeled_cutoffs(settings, TRAINED, now, training.min_history_days).used
    first_test = cutoffs[-training.test_cutoffs]
    closed = select_closed_cutoffs(cutoffs, first_test, settings.horizon_days)
    rows = build_training_set(settings, definitions, closed, TRAINED, now)
    build_snapshots(settings, store, TRAINED, now)
    population = load_active_customers(settings, definitions, TRAINED, now)
    names, functions = [item.name for item in rows.inputs], load_on_demand_functions(store)
    reference = DriftReference("1", TRAINED, names, rows.x, population.x, functions)
    weeks, rules = [], MonitorSettings().drift
    for week in range(9):
        as_of = TRAINED + timedelta(weeks=week)
        build_snapshots(settings, store, as_of, now)
        active = load_active_customers(settings, definitions, as_of, now)
        drift = mark_drifted(compare_with_reference(reference, active.x, as_of), rules)
        weeks.append(
            {
                "as_of": f"{as_of:%Y-%m-%d}",
                "inputs": len(drift),
                "beyond the limit vs. training set": sum(item.vs_training.psi >= rules.max_psi for item in drift),
                "largest PSI vs. population at training": round(
                    max(item.vs_training_population.psi for item in drift), 3
                ),
                "drifted": sum(item.drifted for item in drift),
            }
        )
    return weeks


def main() -> None:
    """Print the results of both benchmarks as JSON."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["HOLDFAST_DATA"] = str(Path(name) / "data")
        from feature_repo.settings import Settings
        from holdfast.ingestion.datasets import locate_dataset, start_replay
        from tests.support.ingest_pipeline import run_ingest

        gc.freeze()  # statsmodels runs a full garbage collection per correction
        start_replay(Settings.from_environment(), "cdnow")
        settings = Settings.from_environment()
        run_ingest(settings, *locate_dataset("cdnow"))
        print(json.dumps({"data": count_alarms(settings), "drift": measure_aging(settings)}, indent=2))


if __name__ == "__main__":
    main()
