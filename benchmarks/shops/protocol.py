"""Public protocol on CDNOW: `python -m benchmarks.shops.protocol` with HOLDFAST_DATA as its folder.

Fit on the purchases of 1997, and predict for all 23,570 customers who buys again in the first half of 1998. Published:
Pareto/NBD and BG/NBD (Fader and Hardie).
"""

import contextlib
import io
import json
import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime

from benchmarks.shops.report import PUBLISHED

FIT_UNTIL, END = datetime(1998, 1, 1, tzinfo=UTC), datetime(1998, 7, 1, tzinfo=UTC)
CUSTOMERS = 23_570
# The number of CDs as amount: 68 customers paid nothing in 1997, and the protocol counts their orders.
_MAPPING = """
columns: {customer_id: customer_id, event_timestamp: date, amount: number_of_cds}
timestamp_format: "%Y%m%d"
delimiter: whitespace
"""


def measure() -> dict[str, tuple[float, float]]:
    """Fit every family on 1997 and score all customers.

    A family that learns from labels is fitted with its default parameters on the monthly cut-offs of 1997 whose
    181 days end in 1997; the others on the purchase history at the end of 1997.

    Returns:
        Model to ROC-AUC and log loss.
    """
    from sklearn.metrics import log_loss, roc_auc_score

    from feature_repo.settings import Settings
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.feast_registry import find_applied_version
    from holdfast.ingestion.batches import list_batches
    from holdfast.ingestion.datasets import locate_dataset
    from holdfast.training.dataset import build_training_set, find_labeled_cutoffs
    from holdfast.training.fitting import fit_model, predict_churn
    from holdfast.training.model_families import list_families
    from tests.support.ingest_pipeline import run_ingest

    settings = Settings.from_environment()
    mapping = settings.data / "mapping.yaml"
    mapping.write_text(_MAPPING)
    run_ingest(settings, locate_dataset("cdnow")[0], mapping)
    known_at = list_batches(settings)[-1].ingested_at
    definitions = find_applied_version(settings, open_store())
    cutoffs = find_labeled_cutoffs(settings, FIT_UNTIL, known_at, 30).used
    fit = build_training_set(settings, definitions, cutoffs, FIT_UNTIL, known_at)
    test = build_training_set(settings, definitions, [FIT_UNTIL], END, known_at)
    if len(test.y) != CUSTOMERS:
        raise RuntimeError(f"CDNOW has {CUSTOMERS} customers, the protocol found {len(test.y)}.")
    # Families without labels learn from the history at the latest cut-off of the rows, here that at the end of 1997.
    fit = replace(fit, histories=dict.fromkeys(fit.histories, test.histories[FIT_UNTIL]))
    found = dict(PUBLISHED)
    for family in list_families(fit):
        scores = predict_churn(fit_model(family.name, family.defaults, fit, 0), test.x)
        found[f"{family.name}, ours"] = (float(roc_auc_score(test.y, scores)), float(log_loss(test.y, scores)))
    return found


def main() -> None:
    """Print the figures as one line of JSON."""
    os.environ["HOLDFAST_HORIZON_DAYS"] = str((END - FIT_UNTIL).days)
    os.environ["HOLDFAST_ACTIVITY_DAYS"] = "365"  # everybody bought in the first quarter of 1997
    with contextlib.redirect_stdout(io.StringIO()):
        found = measure()
    print(json.dumps(found), file=sys.__stdout__, flush=True)
    shutil.rmtree(os.environ["HOLDFAST_DATA"])


if __name__ == "__main__":
    main()
