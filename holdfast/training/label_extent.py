"""Extent of the data that the outcomes of a label need."""

from dataclasses import replace
from datetime import datetime

from feature_repo.names import SUBSCRIPTION_END
from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.history_extent import HistoryExtent, read_extent
from holdfast.models.label import LabelTerms


class NoSubscriptionsError(HoldfastError):
    """Label that needs the ends of subscriptions, on data without any."""


def read_label_extent(
    settings: Settings, terms: LabelTerms, known_at: datetime, as_of: datetime | None = None
) -> HistoryExtent | None:
    """Read the extent of the data that decide the outcomes of a label.

    With subscriptions the data end where the first of both tables ends: an export of subscriptions that is older than
    that of the payments has no renewals of the days between, and every subscription would have ended.

    Args:
        settings: Settings with the data folder.
        terms: Terms of the label.
        known_at: Arrival time up to which data count.
        as_of: Time before which the rows must be; None for all.

    Returns:
        The extent, with the gaps of both; None without transactions.

    Raises:
        NoSubscriptionsError: The label needs the ends of subscriptions, and none had arrived.
    """
    extent = read_extent(settings, known_at, as_of)
    if extent is None or not terms.has_subscriptions:
        return extent
    subscriptions = read_extent(settings, known_at, as_of, "attributes", SUBSCRIPTION_END)
    if subscriptions is None:
        raise NoSubscriptionsError(
            f"The label not_renewed (HOLDFAST_LABEL) needs ends of subscriptions, and no attribute {SUBSCRIPTION_END} "
            f"before {as_of or known_at:%Y-%m-%d} had arrived by {known_at:%Y-%m-%d %H:%M} UTC. Ingest one with a "
            'mapping of `kind: attributes` (docs/ingest.md, "Subscriptions"), or set HOLDFAST_LABEL=no_purchase.'
        )
    return replace(
        extent,
        begin=max(extent.begin, subscriptions.begin),
        end=min(extent.end, subscriptions.end),
        gaps=tuple(sorted({*extent.gaps, *subscriptions.gaps}, key=lambda gap: (gap.start, gap.end))),
    )
