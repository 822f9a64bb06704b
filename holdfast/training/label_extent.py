"""Extent of the data that the outcomes of a label need."""

from dataclasses import replace
from datetime import datetime

from feature_repo.names import CONTRACT_END
from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.history_extent import HistoryExtent, read_extent
from holdfast.models.label import LabelTerms


class NoContractsError(HoldfastError):
    """Label that needs the ends of contracts, on data without any."""


def read_label_extent(
    settings: Settings, terms: LabelTerms, known_at: datetime, as_of: datetime | None = None
) -> HistoryExtent | None:
    """Read the extent of the data that decide the outcomes of a label.

    With contracts the data end where the first of both ends, transactions or ends of contracts: an export of contracts
    that is older than the one of payments has no renewals of the days between, and every contract would have ended.

    Args:
        settings: Settings with the data folder.
        terms: Terms of the label.
        known_at: Arrival time up to which data count.
        as_of: Time before which the rows must be; None for all.

    Returns:
        The extent, with the gaps of both; None without transactions.

    Raises:
        NoContractsError: The label needs the ends of contracts, and none had arrived.
    """
    extent = read_extent(settings, known_at, as_of)
    if extent is None or not terms.has_contracts:
        return extent
    contracts = read_extent(settings, known_at, as_of, "attributes", CONTRACT_END)
    if contracts is None:
        raise NoContractsError(
            f"The label not_renewed (HOLDFAST_LABEL) needs the ends of contracts, and no attribute {CONTRACT_END} "
            f"before {as_of or known_at:%Y-%m-%d} had arrived by {known_at:%Y-%m-%d %H:%M} UTC. Ingest one with a "
            'mapping of `kind: attributes` (docs/ingest.md, "Contracts"), or set HOLDFAST_LABEL=no_purchase.'
        )
    return replace(
        extent,
        begin=max(extent.begin, contracts.begin),
        end=min(extent.end, contracts.end),
        gaps=tuple(sorted({*extent.gaps, *contracts.gaps}, key=lambda gap: (gap.start, gap.end))),
    )
