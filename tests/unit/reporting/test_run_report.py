"""Reports of a main job without a new served model."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.model_versions.evidence import Evidence, Unavailable
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gate_rules import GateRule
from holdfast.promotion.gates import evaluate_gates, list_gate_rules
from holdfast.reporting.commands import JobOptions, format_command
from holdfast.reporting.flow_results import GatesResult, TrainResult
from holdfast.reporting.history_report import find_short_history, report_single_class
from holdfast.reporting.run_report import RunReport, write_report
from holdfast.reporting.version_report import find_cause, report_no_signal, report_refusal, report_training
from holdfast.training.history import NO_GAPS, ShopHistory
from holdfast.training.labeled_cutoffs import MaxCutoffsError
from holdfast.training.recipe import BASE_RATE
from holdfast.training.settings import TrainingSettings
from tests.support.gate_evidence import evidence_with, good_evaluation, make_folds, make_interval, make_level
from tests.unit.training.test_history import make_gaps

FIRST = datetime(2024, 1, 15, tzinfo=UTC)
GAPS = make_gaps([[10.0], [20.0], [400.0]])
HISTORY = ShopHistory(90, FIRST, FIRST + timedelta(days=500), GAPS)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a data folder whose name needs quotes."""
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path / "my data"))
    monkeypatch.delenv("HOLDFAST_CLOCK", raising=False)
    return Settings.from_environment()


def make_options(**thresholds: Any) -> JobOptions:
    """Options of a run on an own source."""
    return JobOptions.of(
        [("my shop.csv", "map.yaml")], "cdnow", None, TrainingSettings(seed=3), GateSettings(**thresholds), "model"
    )


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

    def test_command_has_what_the_run_serves_and_its_time_in_utc(self, shop: Settings) -> None:
        as_of = datetime(2024, 3, 1, 2, tzinfo=timezone(timedelta(hours=2)))
        options = JobOptions.of([], "cdnow", as_of, TrainingSettings(), GateSettings(), "base-rate")
        words = shlex.split(options.command(shop, {"max_bias": 0.2}))
        assert words[words.index("--serve") + 1] == "base-rate"
        assert words[words.index("--as-of") + 1] == "2024-03-01T00:00:00"

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
        return find_short_history(history, TrainingSettings(), None, shop, make_options())

    def test_find_short_history_names_days_had_and_needed(self, shop: Settings) -> None:
        report = self._report(shop, self._history(120))
        assert report is not None and report.is_result
        assert (report.outcome, report.days_had) == ("too little history", 120)
        assert report.days_needed is not None
        assert self._report(shop, self._history(report.days_needed)) is None
        assert self._report(shop, self._history(report.days_needed - 1)) is not None
        assert f"| days had | 120 |\n| days needed | {report.days_needed} |" in report.text
        assert f"({report.days_needed - 120} days more)" in report.text

    def test_find_short_history_proposes_a_horizon_that_the_history_allows(self, shop: Settings) -> None:
        history = self._history(160)
        report = self._report(shop, history)
        assert report is not None
        (command,) = [words for words in list_commands(report) if "--horizon-days" in words]
        shorter = int(command[command.index("--horizon-days") + 1])
        assert 0 < shorter < 90
        assert (
            find_short_history(history, TrainingSettings(), None, _with_horizon(shop, shorter), make_options()) is None
        )

    def test_find_short_history_with_champion_states_that_it_is_served(self, shop: Settings) -> None:
        report = find_short_history(self._history(120), TrainingSettings(), "3", shop, make_options())
        assert report is not None and report.champion == "3"
        assert "Nothing was trained. Version 3 is the champion and is served." in report.text

    def test_find_short_history_before_the_first_purchase_names_the_time(self, shop: Settings) -> None:
        early = ShopHistory(0, FIRST, FIRST - timedelta(days=30), NO_GAPS)
        report = find_short_history(early, TrainingSettings(), None, shop, make_options())
        assert report is not None and report.days_had == 0
        assert "no purchase (an amount above 0) before 2023-12-16" in report.text

    @pytest.mark.parametrize("days", [120, 900])
    def test_find_short_history_too_few_cutoffs_by_setting_raises(self, shop: Settings, days: int) -> None:
        """No wait and no older data would help, so the error comes before features are built."""
        few = TrainingSettings(max_cutoffs=3)
        with pytest.raises(MaxCutoffsError, match=r"max_cutoffs is 3: .* Set max_cutoffs to \d or more"):
            find_short_history(self._history(days), few, None, shop, make_options())

    @pytest.mark.parametrize("customers", [0])
    def test_find_short_history_without_purchases_names_the_mapping(self, shop: Settings, customers: int) -> None:
        for history in (ShopHistory(0, None, None, NO_GAPS), replace(self._history(900), customers=customers)):
            report = find_short_history(history, TrainingSettings(), None, shop, make_options())
            assert report is not None and report.days_needed is None
            assert "no purchase" in report.text and "column mapping" in report.text
            ((*_, option, source),) = list_commands(report)
            assert (option, source) == ("--inspect", str(Path("my shop.csv").resolve()))


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
        report = report_no_signal(make_trained(self._evidence()), None, HISTORY, shop, make_options())
        assert report.is_result
        assert report.failed == ["signal on the test", "signal on the folds"]
        assert "| ROC-AUC | 0.510 (0.480 to 0.540) | .500 |" in report.text
        assert "| true ROC-AUC | test rows | test months |" in report.text
        assert "with which 90% of all trainings would find a model" in report.text
        assert any("base-rate" in words for words in list_commands(report))
        assert any("flows.model_card" in words for words in list_commands(report))

    def test_report_no_signal_names_gaps_in_the_data(self, shop: Settings) -> None:
        trained = make_trained(self._evidence())
        trained = replace(trained, evaluation=trained.evaluation.model_copy(update={"history_notes": ["Gap: June."]}))
        report = report_no_signal(trained, None, HISTORY, shop, make_options())
        assert "\n\nGap: June.\n\n" in report.text

    def test_report_no_signal_without_interval_explains_the_missing_calculation(self, shop: Settings) -> None:
        report = report_no_signal(make_trained(self._evidence(base_rate=0.0)), None, HISTORY, shop, make_options())
        assert "A power calculation is not possible" in report.text

    def test_report_no_signal_bad_horizon_is_proposed(self, shop: Settings) -> None:
        history = replace(HISTORY, gaps=make_gaps([[400.0]]))
        report = report_no_signal(make_trained(self._evidence()), None, history, shop, make_options())
        assert not any("--horizon-days" in words for words in list_commands(report)), "the history is too short for it"
        assert "It needs data up to 2026-06-05; these end on 2025-05-29." in report.text
        longer = replace(history, end=FIRST + timedelta(days=900))
        report = report_no_signal(make_trained(self._evidence()), None, longer, shop, make_options())
        assert any(words[-2:] == ["--horizon-days", "400"] for words in list_commands(report))
        assert "0% of the gaps between purchases are at most 90 days long" in report.text

    def test_report_single_class_repeats_the_cause(self, shop: Settings) -> None:
        history = ShopHistory(3, FIRST, FIRST + timedelta(days=500), GAPS)
        report = report_single_class("Of the 3 test rows 3 churned.", None, history, shop, make_options())
        assert report.is_result and "Of the 3 test rows 3 churned." in report.text


class TestTraining:
    def _report(
        self, shop: Settings, *trained: TrainResult, champion: str | None, single_class: str = ""
    ) -> RunReport | None:
        return report_training(trained, single_class, champion, HISTORY, shop, make_options())

    def test_report_training_of_passed_versions_is_none(self, shop: Settings) -> None:
        assert self._report(shop, make_trained(evidence_with()), champion="4") is None

    def test_report_training_without_version_repeats_the_message(self, shop: Settings) -> None:
        report = self._report(shop, champion="2", single_class="Of the 3 test rows 3 churned.")
        assert report is not None and (report.version, report.champion) == (None, "2")
        assert "Of the 3 test rows 3 churned. Nothing was trained. Version 2 is the champion" in report.text

    @pytest.mark.parametrize("champion", [None, "1"])
    def test_report_training_without_signal_is_a_result(self, shop: Settings, champion: str | None) -> None:
        report = self._report(shop, make_trained(evidence_with(signal=make_interval(0.5))), champion=champion)
        assert report is not None and report.outcome == "no signal"
        assert any("base-rate" in words for words in list_commands(report)) is (champion is None)

    def test_report_training_with_served_base_rate_describes_the_model_of_the_search(self, shop: Settings) -> None:
        model = make_trained(evidence_with(wrong_direction=0.5))
        constant = make_trained(evidence_with(evaluation=good_evaluation(family=BASE_RATE)))
        report = self._report(shop, model, replace(constant, model_version="5"), champion="5")
        assert report is not None and (report.version, report.champion) == ("4", "5")
        assert report.failed == ["behaviour: direction"]
        assert "Version 5 is the champion and is served." in report.text
        assert not any("base-rate" in words for words in list_commands(report))

    def test_report_training_with_refused_base_rate_does_not_propose_it_again(self, shop: Settings) -> None:
        model = make_trained(evidence_with(signal=make_interval(0.5)))
        constant = make_trained(evidence_with(evaluation=good_evaluation(family=BASE_RATE), size_mb=50.0))
        report = self._report(shop, model, replace(constant, model_version="5"), champion=None)
        assert report is not None and (report.version, report.outcome, report.failed) == ("5", "refused", ["size"])
        assert not any("base-rate" in words for words in list_commands(report))


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
        assert "This limit is fixed. Remove the input from feature_repo/feature_services.py." in sections[3]
        assert "No limit can be set for: no forbidden input." in sections[4]
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
        assert "Version 1 is the champion and is served." in report.text

    def test_report_refusal_of_the_champion_states_that_it_stays(self, shop: Settings) -> None:
        assert "It stays: the verdict" in report_refusal(self._refused(), "4", shop, make_options()).text
        assert "It stays" not in report_refusal(self._refused(), "3", shop, make_options()).text

    def test_report_refusal_gates_command_changes_nothing_and_has_the_thresholds(self, shop: Settings) -> None:
        report = report_refusal(self._refused(), None, shop, make_options(max_bias=0.09))
        found = [words for words in list_commands(report) if "flows.gates" in words]
        assert found
        for words in found:
            assert words[-1] == "--dry-run"
            assert json.loads(words[words.index("--thresholds") + 1]) == {"max_bias": 0.09}

    @pytest.mark.parametrize("rule", list_gate_rules(), ids=lambda rule: rule.name)
    def test_every_gate_has_a_meaning_and_a_way_on(self, rule: GateRule) -> None:
        assert rule.meaning.endswith(".")
        assert bool(rule.setting) != bool(rule.remedy)
        assert rule.setting is None or rule.setting in GateSettings.model_fields

    def test_report_refusal_gate_without_value_is_not_called_fixed(self, shop: Settings) -> None:
        report = report_refusal(make_trained(evidence_with(size_mb=Unavailable("missing"))), None, shop, make_options())
        assert "| number | not computed |" in report.text
        assert "could not be computed, which no limit changes" in report.text and "is fixed" not in report.text

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
    report = RunReport(outcome="refused", text="# Refused", version="2", champion="1")
    assert write_report(report, tmp_path).read_text() == "# Refused\n"
    assert json.loads(summary.read_text())["model_version"] == "1"
    write_report(report.model_copy(update={"champion": None}), tmp_path)
    assert json.loads(summary.read_text())["version"] == "2"
