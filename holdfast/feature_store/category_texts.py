"""Texts of the categories in the latest snapshots, by which codes become readable again."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from holdfast.core.parquet_files import read_parquet_file
from holdfast.models.categories import category_code
from holdfast.models.contract import model_inputs

if TYPE_CHECKING:
    from feast import FeatureStore


def read_category_texts(store: "FeatureStore") -> dict[str, dict[float, str]]:
    """Read the texts of each categorical input that is stored.

    Args:
        store: Feast store of the registry.

    Returns:
        Categorical input to code and text; without texts where there is no snapshot, or the input is computed.
    """
    folders = {view.name: Path(getattr(view.batch_source, "path", "")) for view in store.list_feature_views()}
    return {
        feature.name: {category_code(text): text for text in _latest_texts(folders.get(feature.view), feature.name)}
        for feature in model_inputs(store)
        if feature.is_categorical
    }


def _latest_texts(folder: Path | None, name: str) -> list[str]:
    # The folder of a time and the file of an arrival sort by time.
    latest = max(folder.glob("*/*.parquet"), default=None) if folder else None
    if latest is None:
        return []
    texts: list[str] = pc.unique(read_parquet_file(latest, columns=[name])[name]).drop_null().to_pylist()
    return texts
