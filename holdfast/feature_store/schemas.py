"""Pandera schemas of labels and feature snapshots."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandera.pandas as pa
from pandera.typing import Series

from feature_repo.names import ENTITY_KEY
from holdfast.ingestion.schemas import UtcMicroseconds

if TYPE_CHECKING:
    from feast import FeatureView


class Labels(pa.DataFrameModel):
    """Table of labels: churn of each customer active before the cut-off."""

    customer_id: Series[str] = pa.Field(nullable=False)
    cutoff: Series[UtcMicroseconds] = pa.Field(nullable=False)
    churned: Series[bool] = pa.Field(nullable=False)

    class Config:
        strict = True
        unique: ClassVar = ["customer_id", "cutoff"]


class SpendLabels(Labels):
    """Table of labels with the spend in the horizon."""

    spend: Series[float] = pa.Field(ge=0, nullable=False)


def snapshot_schema(view: "FeatureView") -> pa.DataFrameSchema:
    """Build the schema of a view's snapshot: one row per customer, the declared types.

    Args:
        view: Feature view; only the fields in its tag ``nullable`` may be null.

    Returns:
        Pandera schema.
    """
    nullable = view.tags.get("nullable", "").split(",")
    dtypes = {"String": str, "Int64": np.int64, "Float64": np.float64, "Bool": np.bool_}
    columns = {
        field.name: pa.Column(dtypes[str(field.dtype)], nullable=field.name in nullable) for field in view.features
    }
    return pa.DataFrameSchema({ENTITY_KEY: pa.Column(str, unique=True), **columns}, strict=True, name=view.name)
