"""Run summary and stage timer."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from holdfast.reporting.run_summary import (
    GateCounts,
    ParityCounts,
    RefusedVersion,
    RunSummary,
    print_summary,
    write_summary,
)
from holdfast.reporting.stage_timer import StageTimer
from holdfast.runtime import progress
from holdfast.runtime.progress import report_progress
from holdfast.training.evaluation_report import Interval

METRICS = {"roc_auc": 0.8126, "pr_auc": 0.75, "brier": 0.1714, "log_loss": 0.5, "ece": 0.02}


def _summary(**values: Any) -> RunSummary:
    base: dict[str, Any] = {
        "as_of": datetime(1998, 7, 1, tzinfo=UTC),
        "transactions_ingested": 69_659,
        "transactions_quarantined": 80,
        "customers": 23_570,
        "feature_views": ["a", "b", "c"],
        "training_rows": 12_345,
        "test_rows": 6_789,
        "model_name": "holdfast-churn",
        "model_version": "3",
        "chosen": "boosting max_iter=60",
        "reason": "It beats the other.",
        "calibration": "sigmoid",
        "threshold": 0.6,
        "metrics": METRICS,
        "intervals": {name: Interval(value=v, low=v - 0.01, high=v + 0.01) for name, v in METRICS.items()},
        "baselines": {"base_rate": METRICS | {"roc_auc": 0.5}, "recency": METRICS | {"roc_auc": 0.7}},
        "gates": GateCounts(passed=17, failed=[]),
        "champion": "3",
        "parity": ParityCounts(values_compared=424_260, mismatches=0),
        "bento": "holdfast:1",
        "prediction": {"customer_id": "c1", "churn_probability": 0.25},
        "seconds": {"ingest": 1.5},
    }
    return RunSummary(**base | values)


def _console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=200, highlight=False, soft_wrap=True), text


class TestSummary:
    def test_written_summary_reads_back(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "run-summary.json"
        write_summary(_summary(), path.parent)
        assert RunSummary.model_validate_json(path.read_text()) == _summary()
        assert json.loads(path.read_text())["parity"] == {"values_compared": 424_260, "mismatches": 0}
        (path.parent / "run-report.md").write_text("# Report of an earlier run")
        write_summary(_summary(model_version="4"), path.parent)
        assert json.loads(path.read_text())["model_version"] == "4"
        assert [item.name for item in path.parent.iterdir()] == ["run-summary.json"]

    def test_printed_summary_has_every_result(self) -> None:
        console, text = _console()
        print_summary(_summary(), Path("/data"), console)
        printed = text.getvalue()
        for part in (
            "1998-07-01 00:00 UTC",
            "69,659 ingested, 80 quarantined",
            "23,570 in 3 feature views",
            "424,260",
            "0 mismatches",
            "6,789 rows; trained on 12,345 rows; 95% interval of Holdfast's ROC-AUC: 0.803 to 0.823",
            "all 17 passed; the champion is version 3",
            "0.813",
            "0.171",
            '"churn_probability": 0.25',
            "/data/run-summary.json",
        ):
            assert part in printed, part
        rows = [line.split()[:3] for line in printed.splitlines()]
        assert ["Holdfast", "0.813", "0.750"] in rows
        assert ["base", "rate", "0.500"] in rows
        assert ["recency", "alone", "0.700"] in rows

    def test_printed_summary_names_failed_gates(self) -> None:
        console, text = _console()
        summary = _summary(gates=GateCounts(passed=16, failed=["calibration"]), champion="2")
        print_summary(summary, Path("/data"), console)
        assert "failed: calibration; the champion is version 2" in text.getvalue()

    @pytest.mark.parametrize(
        ("version", "text"),
        [
            ("4", "version 4 failed level; reasons and commands: /data/run-report.md"),
            ("3", "version 3, the champion, failed level; reasons"),
            (None, "no version was trained in this run; reasons"),
        ],
    )
    def test_printed_summary_names_the_refused_version(self, version: str | None, text: str, tmp_path: Path) -> None:
        refused = RefusedVersion(version=version, failed=["level"], page="/data/run-report.md")
        console, printed = _console()
        print_summary(_summary(refused=refused), tmp_path, console)
        assert text in printed.getvalue()
        (tmp_path / "run-report.md").write_text("# Report of this run")
        write_summary(_summary(refused=refused), tmp_path)
        assert (tmp_path / "run-report.md").exists()

    @pytest.mark.parametrize("customer", ["shop[eu]-7", "7[/eu]", "[bold]7"])
    def test_customer_id_is_not_parsed_as_markup(self, customer: str) -> None:
        console, text = _console()
        print_summary(_summary(prediction={"customer_id": customer}), Path("/data"), console)
        assert json.dumps(customer) in text.getvalue()


class TestStageTimer:
    def test_completed_stage_prints_time_and_result(self) -> None:
        console, text = _console()
        stages = StageTimer(console)
        with stages.stage("train", "fitting candidates") as stage:
            stage.result = "registered version 3"
        assert list(stages.seconds) == ["train"]
        assert 0 <= stages.seconds["train"] < 1
        line = text.getvalue().strip().splitlines()[-1]
        assert line.startswith("✓ train")
        assert line.endswith("registered version 3")

    def test_failed_stage_prints_its_activity(self) -> None:
        console, text = _console()
        stages = StageTimer(console)
        with pytest.raises(ValueError, match="no"), stages.stage("train", "fitting candidates"):
            raise ValueError("no")
        assert stages.seconds == {}
        assert "✗ train" in text.getvalue()
        assert "failed while fitting candidates" in text.getvalue()

    @pytest.mark.parametrize("customer", ["shop[eu]-7", "7[/eu]", "[bold]7"])
    def test_customer_id_is_not_parsed_as_markup(self, customer: str) -> None:
        console, text = _console()
        with StageTimer(console).stage("serve", "requesting a prediction") as stage:
            stage.result = f"customer {customer} churn probability 20%"
        assert f"customer {customer} churn probability 20%" in text.getvalue()


class TestProgress:
    def test_reported_progress_is_shown_in_the_status_of_the_stage(self) -> None:
        console, _ = _console()
        stages, shown = StageTimer(console), []
        with stages.stage("train", "fitting"):
            status, _name = progress._STATUS.get() or (None, "")
            assert status is not None
            report_progress("trial 3 of [20]")
            shown.append(str(status.status))
        assert shown == ["train: trial 3 of [20]"]
        assert progress._STATUS.get() is None


def test_print_summary_names_gaps_in_the_data(tmp_path: Path) -> None:
    stream = io.StringIO()
    note = "Gap in the data: 2023-06-01 to 2023-06-30 (30 days)."
    print_summary(_summary(history_notes=[note]), tmp_path, Console(file=stream, width=200))
    assert f"history       {note}" in stream.getvalue()
