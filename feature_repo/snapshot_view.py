"""A feature view whose materialisation is not a change of its definition."""

from typing import Any

from feast import FeatureView


class SnapshotView(FeatureView):
    """Feast's feature view, equal to another of the same definition.

    Feast compares the materialisation history too, so that after each materialisation `feast plan` reports
    views as updated that nobody touched.
    """

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, FeatureView):
            return False
        mine, self.materialization_intervals = self.materialization_intervals, other.materialization_intervals
        try:
            return bool(super().__eq__(other))
        finally:
            self.materialization_intervals = mine

    __hash__ = FeatureView.__hash__
