"""Benchmark of shops: it resumes, repeats what has changed, and updates the documentation."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from benchmarks import bench_shops
from benchmarks.bench_shops import QUICK, run_shops, update_docs
from benchmarks.shops.catalog import Shop
from benchmarks.shops.generators import KINDS
from benchmarks.shops.run import JOB_FILE, ShopJob
from holdfast.runtime.parallel_commands import Command
from holdfast.training.settings import TrainingSettings
from tests.unit.benchmarks.shops.test_report import _result

pytestmark = pytest.mark.long

SHOP = Shop("twenty_customers", kind=KINDS["twenty_customers"], months_earlier=(8, 0))


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[ShopJob]:
    """Record the jobs, each of which writes a result per date, instead of running them."""
    recorded = []

    def run(commands: Mapping[str, Command], max_parallel: int, report: Callable[[str, str], None]) -> None:
        for name, command in commands.items():
            job = ShopJob.model_validate_json((command.state / JOB_FILE).read_bytes())
            assert job.source.exists()
            for months in job.months_earlier:
                _result(name, key=job.key, months_earlier=months).write(job.folder)
                report(name, "served")
            recorded.append(job)

    monkeypatch.setattr(bench_shops, "run_parallel", run)
    return recorded


def test_second_run_repeats_missing_results_only(
    jobs: list[ShopJob], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [result.months_earlier for result in run_shops([SHOP], QUICK, tmp_path, 1)] == [8, 0]
    assert capsys.readouterr().out.splitlines() == [
        "[1/2] twenty_customers, served",
        "[2/2] twenty_customers, served",
    ]
    assert len(run_shops([SHOP], QUICK, tmp_path, 1)) == 2
    assert len(jobs) == 1
    (tmp_path / "results" / "twenty_customers-0.json").unlink()
    assert len(run_shops([SHOP], QUICK, tmp_path, 1)) == 2
    assert [job.months_earlier for job in jobs] == [(8, 0), (0,)]


def test_changed_settings_or_code_repeat_every_run(
    jobs: list[ShopJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_shops([SHOP], QUICK, tmp_path, 1)
    run_shops([SHOP], TrainingSettings(), tmp_path, 1)
    monkeypatch.setattr(bench_shops, "_code", lambda: "changed")
    run_shops([SHOP], TrainingSettings(), tmp_path, 1)
    assert [job.months_earlier for job in jobs] == [(8, 0)] * 3
    assert len({job.key for job in jobs}) == 3


def test_broken_result_is_repeated(jobs: list[ShopJob], tmp_path: Path) -> None:
    run_shops([SHOP], QUICK, tmp_path, 1)
    (tmp_path / "results" / "twenty_customers-8.json").write_text("{")
    run_shops([SHOP], QUICK, tmp_path, 1)
    assert [job.months_earlier for job in jobs] == [(8, 0), (8,)]


def test_update_docs_replaces_the_table_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "shops.md"
    page.write_text(f"# Shops\n{bench_shops._START}old\n{bench_shops._END}after\n")
    monkeypatch.setattr(bench_shops, "DOCS_PAGE", page)
    monkeypatch.setattr(bench_shops, "DOCS_PLOT", tmp_path / "plot.png")
    (tmp_path / "report.md").write_text("| new |\n")
    (tmp_path / "shops.png").write_bytes(b"png")
    update_docs(tmp_path)
    assert page.read_text() == f"# Shops\n{bench_shops._START}{bench_shops._PLOT}| new |\n{bench_shops._END}after\n"
    assert (tmp_path / "plot.png").read_bytes() == b"png"
