"""Data sets of installed packages."""

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion import datasets
from tests.support.ingest_pipeline import run_ingest


def test_cdnow_is_ingested_completely(settings, tables) -> None:
    result = run_ingest(settings, *datasets.locate_dataset("cdnow"), ingested_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert (result.rows_read, result.rows_added, result.rows_quarantined) == (69_659, 69_579, 80)
    assert result.reasons == {"amount is 0: neither a purchase nor a return": 80}
    transactions, quarantine = tables()
    every = pd.concat([transactions["customer_id"], quarantine["raw"].str[17:22]])
    assert every.nunique() == 23_570
    assert every.min() == "00001"  # leading zeros stay
    assert transactions.duplicated().sum() == 255
    assert transactions["event_timestamp"].agg(["min", "max"]).tolist() == [
        pd.Timestamp("1997-01-01", tz="UTC"),
        pd.Timestamp("1998-06-30", tz="UTC"),
    ]
    assert transactions["amount"].iloc[0] == 11.77


def test_locate_dataset_with_changed_file_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "cdnow", replace(datasets.DATASETS["cdnow"], sha256="0" * 64))
    with pytest.raises(IngestError, match=r"has SHA-256 eff6889e.*expected 0000.*Reinstall"):
        datasets.locate_dataset("cdnow")


def test_locate_dataset_with_missing_package_or_unknown_name_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "removed", replace(datasets.DATASETS["cdnow"], package="no_such_package"))
    with pytest.raises(IngestError, match="no_such_package, which is not installed"):
        datasets.locate_dataset("removed")
    with pytest.raises(IngestError, match=r"'cdwon' is unknown\. Known: cdnow"):
        datasets.locate_dataset("cdwon")
