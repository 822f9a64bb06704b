"""Whether what training measures goes with what acting on the scores earns."""

import numpy as np
import pandas as pd
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from flows.training.settings import ValueSettings
from flows.training.value import earned, profit_curve
from tests.model.conftest import Champion

MODELS = ["model", "rfm", "bg_nbd", "recency", "base_rate"]


def test_a_model_that_ranks_better_can_earn_more(champion: Champion) -> None:
    """At each one's best threshold, so that only the ranking counts."""
    rows = champion.tested
    churned = rows["churned"].to_numpy()
    ranking = [roc_auc_score(churned, rows[name]) for name in MODELS]
    money = [profit_curve(churned, rows[name].to_numpy(), ValueSettings())[1].max() for name in MODELS]
    assert pearsonr(ranking, money).statistic > 0.95


def test_in_each_month_groups_of_customers_earn_as_expected(champion: Champion) -> None:
    """Tenths of the customers by score: the money that the probabilities promise, beside what offers to them earned."""
    rows, rules = champion.tested, ValueSettings()
    kept = rules.response_rate * rules.kept_customer
    frame = pd.DataFrame(
        {
            "month": rows["cutoff"],
            "tenth": rows.groupby("cutoff")["model"].transform(lambda scores: pd.qcut(scores, 10, labels=False)),
            "expected": rows["model"] * kept - rules.offer_cost,
            "earned": earned(rows["churned"].to_numpy(), np.ones(len(rows)), 0.0, rules),
        }
    )
    by_tenth = frame.groupby(["month", "tenth"]).mean()
    for month, tenths in by_tenth.groupby("month"):
        assert pearsonr(tenths["expected"], tenths["earned"]).statistic > 0.95, month
