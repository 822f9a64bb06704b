"""Synthetic training sets with the spend of each row."""

from dataclasses import replace

import numpy as np

from holdfast.core.types import Floats
from holdfast.training.dataset import TrainingSet
from holdfast.training.regression.families import target_of
from tests.support.training_sets import shop_training_set


def spend_training_set(customers: int, months: int, seed: int = 0, scale: float = 1.0) -> TrainingSet:
    """Add a spend to a simulated shop: each customer has a level of spend; customers who churn spend nothing."""
    data = shop_training_set(customers, months, seed)
    rng = np.random.default_rng(seed + 1)
    level = scale * rng.gamma(2.0, 15.0, customers)
    own = level[data.keys["customer_id"].astype(int).to_numpy()]
    days = data.column("purchase_days")
    mean = own * rng.gamma(4 * days, 1 / (4 * days))
    purchases = 1 + rng.poisson(2 * days / (1 + data.column("tenure_days") / 90))
    spend = np.where(data.y, 0.0, own * purchases * rng.gamma(4.0, 0.25, len(own)))
    feature = replace(data.inputs[0], name="mean_purchase_amount")
    return replace(data, x=np.column_stack([data.x, mean]), inputs=[*data.inputs, feature], target=spend)


def spend(data: TrainingSet) -> Floats:
    """Return the spend of each row."""
    return target_of(data)
