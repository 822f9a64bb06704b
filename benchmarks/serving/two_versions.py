"""Contenders with a challenger on another version of the feature definitions, on Redis and on SQLite."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.serving.contenders import Contender, ResponseCheck, holdfast_contender
from benchmarks.serving.fixture import ROOT, BenchmarkFixture, FixtureError
from benchmarks.serving.report import GoalEvaluator
from benchmarks.serving.response_checks import TOLERANCE, check_predictions
from feature_repo.database_urls import sqlite_url

StoreName = Literal["redis", "sqlite"]
PROFILES: dict[StoreName, str] = {"redis": "feature_store.redis.yaml", "sqlite": "feature_store.yaml"}
# Name of the traffic of the challenger to the tag of its version; "one" has no challenger.
TRAFFIC = {"shadow": '{"mode": "shadow"}'} | {
    f"canary_{share}%": json.dumps({"mode": "canary", "share": share / 100}) for share in (5, 25, 50)
}
ONE = "one"
EXPECTED_OF_CHALLENGER = "expected-challenger.json"
_LIMIT = 1.2


@dataclass(frozen=True)
class TwoVersionsData:
    """Data folder with two versions of the definitions, whose online values are in one kind of store.

    Attributes:
        fixture: Shared fixture.
        store: Kind of the online store.
    """

    fixture: BenchmarkFixture
    store: StoreName

    @property
    def folder(self) -> Path:
        """Return the data folder."""
        return self.fixture.data.with_name(f"data-two-versions-{self.store}")

    @property
    def variables(self) -> dict[str, str]:
        """Return the settings of a process that uses the data folder."""
        profile = ROOT / "feature_repo" / PROFILES[self.store]
        return {"HOLDFAST_DATA": str(self.folder), "FEAST_FS_YAML_FILE_PATH": str(profile)}

    def build(self, family: str) -> None:
        """Copy the data folder of the fixture, and add a version, its online values, a challenger and registries.

        Args:
            family: Family of the challenger.

        Raises:
            FixtureError: The data folder cannot be built; contains the end of the error output.
        """
        command = [sys.executable, "-m", "benchmarks.serving.two_versions_data", str(self.fixture.data)]
        command += ["--family", family]
        environment = self.fixture.environment | self.variables
        built = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise FixtureError(f"Two versions of the definitions could not be built:\n{built.stderr[-3000:]}")

    def contenders(self) -> list[Contender]:
        """Create the contender without a challenger, and one per kind of traffic.

        Returns:
            The contenders.
        """
        return [self._contender(ONE), *(self._contender(traffic) for traffic in TRAFFIC)]

    def _contender(self, traffic: str) -> Contender:
        registry = {"MLFLOW_TRACKING_URI": sqlite_url(registry_folder(self.folder, traffic) / "mlflow.db")}
        return holdfast_contender(
            self.fixture,
            contender_name(self.store, traffic),
            required_metric="" if traffic == ONE else f'mode="{traffic.partition("_")[0]}"',
            environment=self.variables | registry,
            check=_check_canary(self.folder) if traffic.startswith("canary") else check_predictions,
        )


def contender_name(store: StoreName, traffic: str) -> str:
    """Return the name of a contender in the result.

    Args:
        store: Kind of the online store.
        traffic: ``ONE`` or a key of ``TRAFFIC``.

    Returns:
        The name.
    """
    return f"{store}_one_version" if traffic == ONE else f"{store}_two_versions_{traffic}"


def registry_folder(data: Path, traffic: str) -> Path:
    """Return the folder of the model registry with a kind of traffic.

    Args:
        data: Data folder.
        traffic: ``ONE`` or a key of ``TRAFFIC``.

    Returns:
        The folder.
    """
    return data / f"mlflow-{traffic}"


def add_goals(evaluator: GoalEvaluator, connections: tuple[int, ...]) -> None:
    """Add the goals for the latency with two versions of the definitions.

    Args:
        evaluator: Evaluator of the goals.
        connections: Numbers of connections that were measured.
    """
    for store in PROFILES:
        for traffic in TRAFFIC:
            for number in connections:
                evaluator.add_ratio(
                    f"p50 of two versions / of one, {store}, {traffic.replace('_', ' of ')}, {number}",
                    (contender_name(store, traffic), number),
                    (contender_name(store, ONE), number),
                    "<=",
                    _LIMIT,
                    "p50_ms",
                )


def _check_canary(folder: Path) -> ResponseCheck:
    """Create a check that each probability is that of the version that the response names."""

    def check(fixture: BenchmarkFixture, responses: list[Any]) -> None:
        challenger = json.loads((folder / EXPECTED_OF_CHALLENGER).read_text())
        expected = {"1": fixture.expected, "2": challenger}
        for response in responses:
            customer, version = response["customer_id"], response["model_version"]
            difference = abs(response["churn_probability"] - expected[version][customer])
            assert difference <= TOLERANCE, f"{customer}: {response['churn_probability']} by version {version}"

    return check
