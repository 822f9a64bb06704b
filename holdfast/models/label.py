"""Label of a model version."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelDefinition:
    """Definition of the customers that a model scores, and of their outcome.

    Attributes:
        horizon_days: Days without a purchase that define churn.
        activity_days: Days with a purchase that define an active customer.
        sql: Query over the tables ``transactions`` and ``cutoffs``, compiled from ``feature_repo.labels``.
    """

    horizon_days: int
    activity_days: int
    sql: str
