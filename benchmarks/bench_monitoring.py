"""What monitoring sees on real data, and how often it is wrong: `make bench-monitoring`.

Every day of CDNOW from March to June 1998 is judged by the data view as it was, and with a fault planted into it. Then
the inputs of a model trained at 1998-05-01 are held against its two references, week by week.
"""

import argparse
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from feature_repo.settings import Settings

FIRST, LAST = datetime(1998, 3, 2, tzinfo=UTC), datetime(1998, 7, 1, tzinfo=UTC)
TRAINED = datetime(1998, 5, 1, tzinfo=UTC)


def alarms(settings: Settings) -> dict[str, Any]:
    """Days on which the data view raises an alarm, as they were and with each fault planted."""
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

    rules, found, days = MonitorSettings().data, Counter[str](), 0
    as_of = FIRST
    while as_of <= LAST:
        window = Window.ending_at(as_of, 1, datetime.now(UTC))
        counted = count_rows_by_day(settings, window, 0)
        assert counted is not None
        arrived, before = find_arrivals(settings, window)
        day, earlier = (
            sample_transactions(settings, window, counted.day, 1),
            sample_transactions(settings, window, counted.day - timedelta(28), 28),
        )

        def alarm(
            counted: DailyCounts, day: TransactionSample, earlier: TransactionSample, window: Window = window
        ) -> bool:
            checks = [
                *quality_checks.check_volume(counted, window, rules),
                *quality_checks.check_quarantine(arrived, before, rules),  # noqa: B023
                *quality_checks.check_returns(day, earlier, rules),
                *quality_checks.check_values(day, earlier, rules),
            ]
            return bool(significant_checks(checks, rules.alpha)[1])

        def dearer(
            factor: float, priced: Callable[[TransactionSample], TransactionSample], day: TransactionSample = day
        ) -> TransactionSample:
            day = priced(day)
            columns = [name for name in ("amount", "price") if name in day.values]
            return replace(day, values=day.values.assign(**{name: day.values[name] * factor for name in columns}))

        fewer = counted.counts.copy()
        fewer.iloc[-1] //= 2
        none = counted.counts.copy()
        none.iloc[-1] = 0
        found["as it was"] += alarm(counted, day, earlier)
        for factor in (1.1, 1.2, 1.5):
            found[f"amounts x{factor}"] += alarm(counted, dearer(factor, lambda item: item), earlier)
        found["amounts x1.5, no quantity"] += alarm(counted, dearer(1.5, _unpriced), _unpriced(earlier))
        found["half the rows"] += alarm(replace(counted, counts=fewer), day, earlier)
        newest = counted.newest - timedelta(days=1)
        found["no rows"] += alarm(replace(counted, counts=none, newest=newest), day, earlier)
        as_of, days = as_of + timedelta(days=1), days + 1
    return {"days": days, "alarms": dict(found)}


def _unpriced(item: Any) -> Any:
    """Of a shop that maps no quantity: each row is one thing, its price the amount."""
    return replace(item, values=item.values.assign(quantity=1.0, price=item.values["amount"]))


def ageing(settings: Settings) -> list[dict[str, Any]]:
    """The inputs of the active customers, week by week, against what was trained on and whom the model met then."""
    from holdfast.batch_scoring.population import load_active_customers
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.feast_registry import apply_definitions
    from holdfast.feature_store.snapshots import build_snapshots
    from holdfast.monitoring.drift.reference import DriftReference
    from holdfast.monitoring.drift.rule import compare_with_reference, mark_drifted
    from holdfast.monitoring.settings import MonitorSettings
    from holdfast.training.dataset import build_training_set, list_labeled_cutoffs
    from holdfast.training.settings import TrainingSettings
    from holdfast.training.time_split import select_closed_cutoffs

    apply_definitions(open_store())
    now, training = datetime.now(UTC), TrainingSettings()
    cutoffs = list_labeled_cutoffs(settings, TRAINED, now, training.min_history_days)
    first_test = cutoffs[-training.test_cutoffs]
    rows = build_training_set(settings, select_closed_cutoffs(cutoffs, first_test, settings.horizon_days), TRAINED, now)
    build_snapshots(settings, TRAINED, now)
    met = load_active_customers(settings, TRAINED, now)
    reference = DriftReference("1", TRAINED, [item.name for item in rows.inputs], rows.x, met.x)
    told, rules = [], MonitorSettings().drift
    for week in range(9):
        as_of = TRAINED + timedelta(weeks=week)
        build_snapshots(settings, as_of, now)
        moved = mark_drifted(
            compare_with_reference(reference, load_active_customers(settings, as_of, now).x, as_of), rules
        )
        told.append(
            {
                "as_of": f"{as_of:%Y-%m-%d}",
                "inputs": len(moved),
                "beyond the limit against training": sum(item.vs_training.psi >= rules.max_psi for item in moved),
                "largest PSI against those met": round(max(item.vs_training_population.psi for item in moved), 3),
                "drifted": sum(item.drifted for item in moved),
            }
        )
    return told


def main() -> None:
    """Print both as JSON."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["HOLDFAST_DATA"] = str(Path(name) / "data")
        from feature_repo.settings import load_settings
        from holdfast.ingestion.datasets import locate_dataset, start_replay
        from tests.support.ingest_pipeline import run_ingest

        start_replay(load_settings(), "cdnow")
        settings = load_settings()
        run_ingest(settings, *locate_dataset("cdnow"))
        print(json.dumps({"data": alarms(settings), "drift": ageing(settings)}, indent=2))


if __name__ == "__main__":
    main()
