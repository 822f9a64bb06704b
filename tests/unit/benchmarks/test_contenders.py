"""What counts as a right answer, and what the result looks like to people."""

import ast
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.serving.contenders import Contender, holdfast, others
from benchmarks.serving.fixture import Scene, common_environment
from benchmarks.serving.report import Goal, Line
from benchmarks.serving.response_checks import all_features, same_batches, same_model, same_probabilities, same_schema
from benchmarks.serving.tables import show
from services.schemas import Prediction
from tests.support.main_job import ROOT

EXPECTED = {"c1": 0.25, "c2": 0.75}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    questions = tmp_path / "questions"
    questions.mkdir()
    (questions / "expected.json").write_text(json.dumps(EXPECTED))
    (tmp_path / "bentoml" / "models" / "holdfast-churn" / "v1-abc").mkdir(parents=True)
    return Scene(tmp_path, "holdfast:tag", tmp_path / "stock" / "f.yaml", tmp_path / "f.yaml", {})


def answers(**changed: float) -> list[Any]:
    return [{"customer_id": c, "churn_probability": p} for c, p in (EXPECTED | changed).items()]


def test_a_probability_must_be_that_of_scikit_learn(scene: Scene) -> None:
    same_probabilities(scene, answers())
    with pytest.raises(AssertionError, match="c2"):
        same_probabilities(scene, answers(c2=0.75 + 1e-8))
    with pytest.raises(KeyError):
        same_probabilities(scene, answers()[:1])


def test_a_batch_must_score_everybody(scene: Scene) -> None:
    items = [item | {"status": "ok"} for item in answers()]
    same_batches(scene, [{"predictions": items}])
    items[1]["status"] = "unknown_customer"
    with pytest.raises(AssertionError):
        same_batches(scene, [{"predictions": items}])


def test_the_no_op_answers_in_the_words_of_the_service(scene: Scene) -> None:
    whole = [dict.fromkeys(Prediction.model_fields) | {"customer_id": customer} for customer in EXPECTED]
    same_schema(scene, whole)
    with pytest.raises(AssertionError, match="schema"):
        same_schema(scene, [{"customer_id": customer} for customer in EXPECTED])
    with pytest.raises(AssertionError, match="customers"):
        same_schema(scene, whole[::-1])


def test_feast_must_answer_features_of_the_customer(scene: Scene) -> None:
    def answer(customer: str, recency: float | None) -> dict[str, Any]:
        names = ["customer_id", "days_since_last_purchase", *(f"f{i}" for i in range(16))]
        values = [customer, recency, *range(16)]
        return {"metadata": {"feature_names": names}, "results": [{"values": [value]} for value in values]}

    all_features(scene, [answer("c1", 3.5), answer("c2", 4.5)])
    with pytest.raises(AssertionError, match="another customer"):
        all_features(scene, [answer("c1", 3.5), answer("c1", 3.5)])
    with pytest.raises(AssertionError, match="no features"):
        all_features(scene, [answer("c1", None), answer("c2", 4.5)])


def test_the_model_server_must_answer_the_probability_of_churn(scene: Scene) -> None:
    same_model(scene, [{"predictions": [[1 - p, p]]} for p in EXPECTED.values()])
    with pytest.raises(AssertionError):
        same_model(scene, [{"predictions": [[p, 1 - p]]} for p in EXPECTED.values()])


def test_the_contenders_are_those_of_the_result(scene: Scene) -> None:
    everybody: list[Contender] = [holdfast(scene), *others(scene)]
    names = ["holdfast", "noop", "noop_tuned", "naive", "feast_serve", "mlflow_serve"]
    assert [contender.name for contender in everybody] == names
    for contender in everybody:
        assert sum("{port}" in part for part in contender.command) == 1


def test_the_tuned_no_op_is_tuned_as_the_service_is() -> None:
    """Else Holdfast would be compared with less than what the framework can do."""

    def tunings(file: Path) -> set[str]:
        imports = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        return {alias.name for node in imports if node.module == "services.bentoml_patches" for alias in node.names}

    used = set().union(*(tunings(file) for file in (ROOT / "services").glob("*.py")))
    assert "SERVICE_OPTIONS" in used
    assert tunings(ROOT / "benchmarks" / "serving" / "noop_tuned.py") == used


def test_no_setting_of_the_callers_shell_reaches_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOLDFAST_PREDICTION_LOG", "BENTOML_CONFIG", "FEAST_FS_YAML_FILE_PATH", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "from the shell")
    environment = common_environment(tmp_path, "2024-03-01T00:00:00+00:00")
    assert "from the shell" not in environment.values()
    assert environment["HOLDFAST_DATA"] == str(tmp_path)


def test_people_see_what_was_missed_and_what_disturbed() -> None:
    def told(fastest: float, others_cores: float, met: float) -> str:
        line = Line(fastest, 1.0, 2.0, 0, 90.0, 110.0, 5, 0.4, others_cores)
        out = Console(file=io.StringIO(), width=150)
        result = {"generator": {"name": "wrk", "requests_per_second_at_most": 10_000}}
        show(out, result, {"holdfast": {"8": line}}, [Goal("speed", met, 6.0, ">=", "x", 1.0, 9.0)])
        assert isinstance(out.file, io.StringIO)
        return out.file.getvalue()

    good, bad = told(100.0, 0.1, 7.0), told(6_000.0, 0.9, 5.0)
    assert "holdfast" in good
    assert "yes" in good
    assert "NO" not in good
    assert "busy" not in good
    assert "limit:" not in good
    assert "NO" in bad
    assert "busy with other work" in bad
    assert "near its limit" in bad
