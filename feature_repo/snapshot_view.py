"""Feature view that reads snapshots."""

import json
from pathlib import Path
from typing import Any

from feast import FeatureView, FileSource

from feature_repo.source_hash import sha256


class SnapshotView(FeatureView):
    """Feature view that equals any feature view with the same definition.

    Feast also compares the materialization history, so that `feast plan` reports unchanged views as updated after each
    materialization.

    The folder of the snapshots is named after what decides their content: the transformation, the types of the fields
    and the fields that may be null. Snapshots of two definitions never mix, and `feast plan` shows the change.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        source = self.batch_source
        if isinstance(source, FileSource) and "sql" in source.tags:
            source.file_options.uri = str(Path(source.path).with_name(snapshot_digest(self, source.tags["sql"])))

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, FeatureView) and bool(_comparison_key(self) == _comparison_key(other))

    __hash__ = FeatureView.__hash__


def snapshot_digest(view: FeatureView, sql: str) -> str:
    """Compute the name of the folder of a view's snapshots.

    Args:
        view: Feature view.
        sql: Compiled transformation.

    Returns:
        12 hexadecimal digits.
    """
    fields = sorted((field.name, str(field.dtype)) for field in view.features)
    return sha256(json.dumps([sql, fields, view.tags.get("nullable", "")]))[:12]


def _comparison_key(view: FeatureView) -> FeatureView:
    """Return a plain feature view with the definition of ``view`` and no materialization history."""
    key = FeatureView.__new__(FeatureView)
    vars(key).update(vars(view), materialization_intervals=[])
    return key
