"""Tests of the contenders, of the response checks, and of the printed result."""

import ast
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.serving.contenders import Contender, holdfast_contender, other_contenders
from benchmarks.serving.fixture import BenchmarkFixture, common_environment
from benchmarks.serving.report import Goal, SubjectSummary
from benchmarks.serving.response_checks import (
    check_batches,
    check_features,
    check_model_server,
    check_predictions,
    check_schema,
)
from benchmarks.serving.tables import print_result
from services.schemas import Prediction
from tests.support.main_job import ROOT

EXPECTED = {"c1": 0.25, "c2": 0.75}


@pytest.fixture
def fixture(tmp_path: Path) -> BenchmarkFixture:
    requests = tmp_path / "requests"
    requests.mkdir()
    (requests / "expected.json").write_text(json.dumps(EXPECTED))
    (tmp_path / "bentoml" / "models" / "holdfast-churn" / "v1-abc").mkdir(parents=True)
    return BenchmarkFixture(tmp_path, "holdfast:tag", tmp_path / "stock" / "f.yaml", tmp_path / "f.yaml", {})


def responses(**changed: float) -> list[Any]:
    return [{"customer_id": c, "churn_probability": p} for c, p in (EXPECTED | changed).items()]


def test_check_predictions_rejects_other_probabilities(fixture: BenchmarkFixture) -> None:
    check_predictions(fixture, responses())
    with pytest.raises(AssertionError, match="c2"):
        check_predictions(fixture, responses(c2=0.75 + 1e-8))
    with pytest.raises(KeyError):
        check_predictions(fixture, responses()[:1])


def test_check_batches_rejects_customer_without_score(fixture: BenchmarkFixture) -> None:
    items = [item | {"status": "ok"} for item in responses()]
    check_batches(fixture, [{"predictions": items}])
    items[1]["status"] = "unknown_customer"
    with pytest.raises(AssertionError):
        check_batches(fixture, [{"predictions": items}])


def test_check_schema_rejects_other_schema_or_customers(fixture: BenchmarkFixture) -> None:
    whole = [dict.fromkeys(Prediction.model_fields) | {"customer_id": customer} for customer in EXPECTED]
    check_schema(fixture, whole)
    with pytest.raises(AssertionError, match="schema"):
        check_schema(fixture, [{"customer_id": customer} for customer in EXPECTED])
    with pytest.raises(AssertionError, match="customers"):
        check_schema(fixture, whole[::-1])


def test_check_features_rejects_other_customer_or_missing_features(fixture: BenchmarkFixture) -> None:
    def response(customer: str, recency: float | None) -> dict[str, Any]:
        names = ["customer_id", "days_since_last_purchase", *(f"f{i}" for i in range(16))]
        values = [customer, recency, *range(16)]
        return {"metadata": {"feature_names": names}, "results": [{"values": [value]} for value in values]}

    check_features(fixture, [response("c1", 3.5), response("c2", 4.5)])
    with pytest.raises(AssertionError, match="another customer"):
        check_features(fixture, [response("c1", 3.5), response("c1", 3.5)])
    with pytest.raises(AssertionError, match="no features"):
        check_features(fixture, [response("c1", None), response("c2", 4.5)])


def test_check_model_server_rejects_other_column(fixture: BenchmarkFixture) -> None:
    check_model_server(fixture, [{"predictions": [[1 - p, p]]} for p in EXPECTED.values()])
    with pytest.raises(AssertionError):
        check_model_server(fixture, [{"predictions": [[p, 1 - p]]} for p in EXPECTED.values()])


def test_contenders_have_a_name_and_a_port(fixture: BenchmarkFixture) -> None:
    contenders: list[Contender] = [holdfast_contender(fixture), *other_contenders(fixture)]
    names = ["holdfast", "noop", "noop_tuned", "naive", "feast_serve", "mlflow_serve"]
    assert [contender.name for contender in contenders] == names
    for contender in contenders:
        assert sum("{port}" in part for part in contender.command) == 1


def test_noop_tuned_has_the_tuning_of_the_service() -> None:
    """Without the same tuning Holdfast would be compared with a slower framework."""

    def tunings(file: Path) -> set[str]:
        imports = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        return {alias.name for node in imports if node.module == "services.bentoml_patches" for alias in node.names}

    used = set().union(*(tunings(file) for file in (ROOT / "services").rglob("*.py")))
    used.remove("ignore_model_fields_warning")  # a warning at the start costs no request time
    assert "service_options" in used
    assert tunings(ROOT / "benchmarks" / "serving" / "noop_tuned_service.py") == used
    assert tunings(ROOT / "benchmarks" / "serving" / "noop_service.py") == set()


def test_common_environment_ignores_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOLDFAST_PREDICTION_LOG", "BENTOML_CONFIG", "FEAST_FS_YAML_FILE_PATH", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "from the shell")
    environment = common_environment(tmp_path, "2024-03-01T00:00:00+00:00")
    assert "from the shell" not in environment.values()
    assert environment["HOLDFAST_DATA"] == str(tmp_path)


def test_print_result_shows_missed_goals_and_disturbances() -> None:
    def printed(fastest: float, others_cores: float, met: float) -> str:
        summary = SubjectSummary(fastest, 1.0, 2.0, 0, 90.0, 110.0, 5, 0.4, others_cores)
        out = Console(file=io.StringIO(), width=150)
        result = {"generator": {"name": "wrk", "requests_per_second_at_most": 10_000}}
        print_result(out, result, {"holdfast": {"8": summary}}, [Goal("speed", met, 6.0, ">=", "x", 1.0, 9.0)])
        assert isinstance(out.file, io.StringIO)
        return out.file.getvalue()

    good, bad = printed(100.0, 0.1, 7.0), printed(6_000.0, 0.9, 5.0)
    assert "holdfast" in good
    assert "yes" in good
    assert "NO" not in good
    assert "Other processes" not in good
    assert "limit:" not in good
    assert "NO" in bad
    assert "Other processes used the machine" in bad
    assert "near its limit" in bad
