"""Reports of a main job without a new served model."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_repo.settings import Settings
from holdfast.model_versions.evidence import Evidence
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gates import evaluate_gates
from holdfast.reporting.commands import JobOptions, format_command
from holdfast.reporting.flow_results import GatesResult, TrainResult
from holdfast.reporting.run_report import (
    RunReport,
    find_cause,
    find_short_history,
    report_no_signal,
    report_refusal,
    report_single_class,
    write_report,
)
from holdfast.training.history import ShopHistory, fit_horizon
from tests.support.gate_evidence import evidence_with, good_evaluation, make_folds, make_interval, make_level

FIRST = datetime(2024, 1, 15, tzinfo=UTC)
GAPS = np.repeat([10.0, 20.0, 400.0], 30)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a data folder whose name needs quotes."""
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path / "my data"))
    monkeypatch.delenv("HOLDFAST_CLOCK", raising=False)
    return Settings.from_environment()


def make_options(**thresholds: Any) -> JobOptions:
    """Options of a run on an own source."""
    return JobOptions.of("my shop.csv", "map.yaml", "cdnow", None, {"seed": 3}, thresholds)


def make_trained(evidence: Evidence) -> TrainResult:
    """Result of a training with the gates of the evidence."""
    gates = evaluate_gates(evidence, GateSettings())
    failed = [gate for gate in gates if gate.verdict == "failed"]
    return TrainResult(
        model_name="holdfast-churn",
        model_version="4",
        run_id="r",
        trained=True,
        training_rows=900,
        evaluation=evidence.evaluation,  # type: ignore[arg-type]
        gates=GatesResult("4", None, not failed, False, True, gates),
        is_champion=False,
    )


def list_commands(report: RunReport) -> list[list[str]]:
    """Split each command of a report as a shell does, without the folder and the variables."""
    lines = [line.strip() for line in report.text.splitlines() if line.startswith("      cd ")]
    words = [shlex.split(line) for line in lines]
    return [line[line.index(sys.executable) :] for line in words]


class TestCommands:
    def test_format_command_runs_in_any_folder(self, shop: Settings, tmp_path: Path) -> None:
        command = format_command(shop, "flows.gates", {"help": None, "version": "3 4"})
        assert f"HOLDFAST_DATA='{shop.data}' {sys.executable} -m flows.gates --version '3 4'" in command
        shown = command.replace(
            f"{sys.executable} -m flows.gates",
            f"{sys.executable} -c 'import sys, os, flows; print(os.environ[\"HOLDFAST_DATA\"], sys.argv[1:])'",
        )
        done = subprocess.run(shown, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == f"{shop.data} ['--version', '3 4']"

    def test_command_names_no_secrets(self, shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOLDFAST_API_KEYS", "hunter2")
        monkeypatch.setenv("HOLDFAST_CLOCK", "data")
        command = make_options().command(shop)
        assert "hunter2" not in command
        assert "HOLDFAST_CLOCK=data" in command

    def test_command_keeps_the_options_of_the_run(self, shop: Settings) -> None:
        words = shlex.split(make_options(max_bias=0.2).command(shop, {"max_size_mb": 30}, serve="base-rate"))
        options = dict(zip(words[-10::2], words[-9::2], strict=True))
        assert options["--source"] == str(Path("my shop.csv").resolve())
        assert options["--mapping"] == str(Path("map.yaml").resolve())
        assert json.loads(options["--training"]) == {"seed": 3}
        assert json.loads(options["--thresholds"]) == {"max_bias": 0.2, "max_size_mb": 30}
        assert options["--serve"] == "base-rate"


class TestShortHistory:
    def _history(self, days: int, customers: int = 90) -> ShopHistory:
        return ShopHistory(customers, FIRST, FIRST + timedelta(days=days), GAPS)

    def _report(self, shop: Settings, history: ShopHistory) -> RunReport | None:
        return find_short_history(history, fit_horizon(history.gaps, 90), 30, shop, make_options())

    def test_find_short_history_names_days_had_and_needed(self, shop: Settings) -> None:
        report = self._report(shop, self._history(120))
        assert report is not None and report.is_result
        assert (report.outcome, report.days_had) == ("too little history", 120)
        assert report.days_needed is not None
        assert self._report(shop, self._history(report.days_needed)) is None
        assert self._report(shop, self._history(report.days_needed - 1)) is not None
        assert f"| days had | 120 |\n| days needed | {report.days_needed} |" in report.text
        assert f"run again in {report.days_needed - 120} days" in report.text

    def test_find_short_history_proposes_a_horizon_that_the_history_allows(self, shop: Settings) -> None:
        history = self._history(160)
        report = self._report(shop, history)
        assert report is not None
        (command,) = [words for words in list_commands(report) if "--horizon-days" in words]
        shorter = int(command[command.index("--horizon-days") + 1])
        assert 0 < shorter < 90
        assert (
            find_short_history(history, fit_horizon(GAPS, shorter), 30, _with_horizon(shop, shorter), make_options())
            is None
        )

    @pytest.mark.parametrize("customers", [0])
    def test_find_short_history_without_purchases_names_the_mapping(self, shop: Settings, customers: int) -> None:
        for history in (ShopHistory(0, None, None, np.empty(0)), replace(self._history(900), customers=customers)):
            report = find_short_history(history, fit_horizon(np.empty(0), 90), 30, shop, make_options())
            assert report is not None and report.days_needed is None
            assert "no purchase" in report.text and "column mapping" in report.text


def _with_horizon(shop: Settings, days: int) -> Settings:
    return shop.model_copy(update={"horizon_days": days})


class TestNoSignal:
    def _evidence(self, **changed: Any) -> Evidence:
        metrics = good_evaluation().metrics
        metrics = metrics | {"model": metrics["model"] | {"roc_auc": make_interval(0.51, 0.03)}}
        evaluation = good_evaluation(metrics=metrics, folds=make_folds(0.0), **changed)
        return evidence_with(
            evaluation=evaluation,
            signal=make_interval(0.51),
            champion=None,
            over_champion=None,
            brier_over_champion=None,
        )

    def test_report_no_signal_compares_with_the_base_rate_and_states_the_need(self, shop: Settings) -> None:
        report = report_no_signal(make_trained(self._evidence()), fit_horizon(GAPS, 90), shop, make_options())
        assert report.is_result
        assert report.failed == ["signal on the test", "signal on the folds"]
        assert "| ROC-AUC | 0.510 (0.480 to 0.540) | .500 |" in report.text
        assert "| true ROC-AUC | test rows | test months |" in report.text
        assert "power of 80%" in report.text
        assert any("base-rate" in words for words in list_commands(report))
        assert any("flows.model_card" in words for words in list_commands(report))

    def test_report_no_signal_without_interval_explains_the_missing_calculation(self, shop: Settings) -> None:
        report = report_no_signal(
            make_trained(self._evidence(base_rate=0.0)), fit_horizon(GAPS, 90), shop, make_options()
        )
        assert "A power calculation is not possible" in report.text

    def test_report_no_signal_bad_horizon_is_proposed(self, shop: Settings) -> None:
        fit = fit_horizon(np.full(90, 400.0), 90)
        report = report_no_signal(make_trained(self._evidence()), fit, shop, make_options())
        assert any(words[-2:] == ["--horizon-days", "400"] for words in list_commands(report))
        assert "0% of this shop's repeat purchases came within 90 days" in report.text

    def test_report_single_class_repeats_the_cause(self, shop: Settings) -> None:
        history = ShopHistory(3, FIRST, FIRST + timedelta(days=500), GAPS)
        report = report_single_class(
            "Of the 3 test rows 3 churned.", history, fit_horizon(GAPS, 90), shop, make_options()
        )
        assert report.is_result and "Of the 3 test rows 3 churned." in report.text


class TestRefusal:
    def _refused(self) -> TrainResult:
        evaluation = good_evaluation(level=make_level(0.2), instability=make_interval(0.08))
        return make_trained(evidence_with(evaluation=evaluation, wrong_direction=0.5, inputs=["age"]))

    def test_report_refusal_names_number_limit_meaning_cause_and_commands(self, shop: Settings) -> None:
        trained = self._refused()
        report = report_refusal(trained, None, shop, make_options())
        assert not report.is_result
        assert report.failed == ["level", "stability", "behaviour: direction", "no forbidden input"]
        sections = report.text.split("\n## ")[1:]
        for gate, section in zip(
            [gate for gate in trained.gates.gates if gate.verdict == "failed"], sections, strict=False
        ):
            assert section.startswith(f"{gate.name} ({gate.kind})")
            for part in (
                f"| number | {gate.value:.4g} |",
                f"| limit | {gate.direction} {gate.threshold:g} |",
                "| meaning | ",
                "| cause | ",
                "Look closer:",
            ):
                assert part in section
        assert "This limit is fixed" in sections[3]
        assert "There is no champion, nothing is served." in report.text

    def test_report_refusal_command_passes_the_gate(self, shop: Settings) -> None:
        """The thresholds of each command are those with which the same evidence passes that gate."""
        evaluation = good_evaluation(
            level=make_level(0.2),
            instability=make_interval(0.08),
            over_baselines=good_evaluation().over_baselines | {"rfm": make_interval(-0.05)},
            log_loss_gains=good_evaluation().log_loss_gains | {"bg_nbd": make_interval(-0.0512)},
        )
        evidence = evidence_with(
            evaluation=evaluation,
            signal=make_interval(0.49),
            brier_gain=make_interval(-0.07),
            latency_ms=33.3333,
            over_champion=make_interval(-0.015),
        )
        trained = make_trained(evidence)
        report = report_refusal(trained, "1", shop, make_options())
        overrides = [
            json.loads(words[words.index("--thresholds") + 1])
            for words in list_commands(report)
            if "--thresholds" in words
        ]
        assert len(overrides) == len(trained.gates.failed) + 1
        for name, override in zip(trained.gates.failed, overrides, strict=False):
            again = evaluate_gates(evidence, GateSettings(**override))
            assert next(gate for gate in again if gate.name == name).verdict == "passed", name
        everything = evaluate_gates(evidence, GateSettings(**overrides[-1]))
        assert [gate.name for gate in everything if gate.verdict == "failed"] == []
        assert "Version 1 stays champion" in report.text

    @pytest.mark.parametrize(
        ("evidence", "cause"),
        [
            (evidence_with(signal=make_interval(0.5), evaluation=good_evaluation()), "size"),
            (
                evidence_with(
                    evaluation=good_evaluation(level=make_level(0.2).model_copy(update={"history_days": 300}))
                ),
                "season",
            ),
            (evidence_with(evaluation=good_evaluation(level=make_level(0.2))), "model"),
            (evidence_with(evaluation=good_evaluation(instability=make_interval(0.09))), "size"),
            (evidence_with(wrong_direction=0.5), "model"),
        ],
    )
    def test_find_cause_of_a_failed_gate(self, evidence: Evidence, cause: str) -> None:
        trained = make_trained(evidence)
        (failed,) = [gate for gate in trained.gates.gates if gate.verdict == "failed"]
        assert find_cause(failed, trained.evaluation)[0] == cause


def test_write_report_replaces_the_summary_of_an_earlier_run_only_without_a_served_model(tmp_path: Path) -> None:
    summary = tmp_path / "run-summary.json"
    summary.write_text('{"model_version": "1"}')
    report = RunReport(outcome="refused", text="# Refused", version="2")
    assert write_report(report, tmp_path, replaces_summary=False).read_text() == "# Refused\n"
    assert json.loads(summary.read_text())["model_version"] == "1"
    write_report(report, tmp_path, replaces_summary=True)
    assert json.loads(summary.read_text())["version"] == "2"
