"""Benchmark of the whole library on many shops at several dates: `make bench-shops`.

    python -m benchmarks.bench_shops [--shops cdnow,bg_nbd] [--months 0] [--quick] [--tosses 200] [--jobs 2] [--docs]

Each shop is ingested, trained and evaluated at the end of its data, and 4 and 8 months earlier. Results are stored in
.reports/shops; another run repeats only what data, settings or code have changed. The folder of real shops is
HOLDFAST_SHOPS, or ../shared/shops where it exists.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.shops.catalog import ROOT, Shop, list_coin_tosses, list_shops, select_shops
from benchmarks.shops.report import Goal, check_goals, plot_results, render_protocol, render_table
from benchmarks.shops.results import ShopResult, read_result
from benchmarks.shops.run import JOB_FILE, ShopJob
from feature_repo.source_hash import sha256, strip_formatting
from holdfast.core.errors import HoldfastError
from holdfast.core.plot_style import render_png
from holdfast.runtime.parallel_commands import Command, run_parallel
from holdfast.training.settings import SearchSettings, TrainingSettings

FOLDER = ROOT / ".reports" / "shops"
DOCS_PAGE, DOCS_PLOT = ROOT / "docs" / "shops.md", ROOT / "docs" / "images" / "shops.png"
_PLOT = "![Brier score of Holdfast and of simple models less that of BG/NBD, by shop and date](images/shops.png)\n\n"
_START, _END = "<!-- results -->\n", "<!-- end of results -->\n"
QUICK = TrainingSettings(search=SearchSettings(trials=2), resamples=100)


def run_shops(shops: Sequence[Shop], training: TrainingSettings, folder: Path, jobs: int) -> list[ShopResult]:
    """Run the library on shops in parallel, except where the result of an earlier run is up to date.

    Args:
        shops: Shops.
        training: Settings of the training.
        folder: Folder of results and temporary data.
        jobs: Number of shops that run at the same time.

    Returns:
        Results by shop, ascending in time.
    """
    results, commands, code, planned = folder / "results", dict[str, Command](), _code(), 0
    results.mkdir(parents=True, exist_ok=True)
    keys = {shop.name: sha256(f"{code} {shop.digest()} {training.model_dump_json()}") for shop in shops}
    for shop in shops:
        todo = [n for n in shop.months_earlier if read_result(results, shop.name, n, keys[shop.name]) is None]
        if todo:
            state = folder / "state" / shop.name
            shutil.rmtree(state, ignore_errors=True)
            state.mkdir(parents=True)
            source, mapping = shop.write_source(state)
            job = ShopJob(
                key=keys[shop.name],
                shop=shop.name,
                is_real=shop.is_real,
                source=source,
                mapping=mapping,
                months_earlier=tuple(todo),
                level_known=shop.kind is None or shop.kind.level_known,
                folder=results,
                training=training,
            )
            (state / JOB_FILE).write_text(job.model_dump_json())
            commands[shop.name] = Command("benchmarks.shops.run", state, folder / f"{shop.name}.log")
            planned += len(todo)
    done = 0

    def report(name: str, line: str) -> None:
        nonlocal done
        done += 1
        print(f"[{done}/{planned}] {name}, {line}", flush=True)

    run_parallel(commands, jobs, report)
    found = [read_result(results, shop.name, n, keys[shop.name]) for shop in shops for n in shop.months_earlier]
    return [result for result in found if result is not None]


def _run_protocol(folder: Path) -> dict[str, tuple[float, float]]:
    """Run the public protocol on CDNOW in another process, which defines churn by another horizon."""
    state, lines = folder / "state" / "protocol", list[str]()
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    command = Command("benchmarks.shops.protocol", state, folder / "protocol.log")
    run_parallel({"protocol": command}, 1, lambda _, line: lines.append(line))
    return {name: (roc_auc, log_loss) for name, (roc_auc, log_loss) in json.loads(lines[-1]).items()}


def _code() -> str:
    """Compute the digest of the code that decides a result."""
    files = [path for name in ("feature_repo", "holdfast") for path in (ROOT / name).rglob("*.py")]
    files += [ROOT / "benchmarks" / "shops" / f"{name}.py" for name in ("generators", "run", "results")]
    return sha256("\n".join(strip_formatting(path.read_text()) for path in sorted(files)))


def write_report(
    results: Sequence[ShopResult], figures: dict[str, tuple[float, float]], goals: Sequence[Goal], folder: Path
) -> None:
    """Write results, table and plot as report.json, report.md and shops.png.

    Args:
        results: Results.
        figures: Model to ROC-AUC and log loss under the public protocol.
        goals: Checked goals.
        folder: Folder of the report.
    """
    content = {
        "goals": [vars(goal) for goal in goals],
        "protocol": figures,
        "results": [result.model_dump(mode="json") for result in results],
    }
    (folder / "report.json").write_text(json.dumps(content, indent=2))
    (folder / "report.md").write_text(_markdown(results, figures, goals))
    (folder / "shops.png").write_bytes(render_png(plot_results(results)))


def _markdown(results: Sequence[ShopResult], figures: dict[str, tuple[float, float]], goals: Sequence[Goal]) -> str:
    parts = [render_table(results), "".join(f"- {goal}\n" for goal in goals)]
    return "\n".join([*parts, render_protocol(figures)] if figures else parts)


def update_docs(folder: Path) -> None:
    """Copy the table and the plot of the last report into the documentation.

    Args:
        folder: Folder of the report.
    """
    before, rest = DOCS_PAGE.read_text().split(_START)
    DOCS_PAGE.write_text(before + _START + _PLOT + (folder / "report.md").read_text() + _END + rest.split(_END)[1])
    shutil.copy(folder / "shops.png", DOCS_PLOT)


def main() -> None:
    """Run the benchmark and print table and goals; exit with status 1 if a goal is missed."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shops", default="", help="names, separated by commas; all shops when left out")
    parser.add_argument("--months", default="8,4,0", help="months from each date to the end of the data, descending")
    parser.add_argument("--quick", action="store_true", help="two trials per family and 100 resamples")
    parser.add_argument("--tosses", type=int, default=0, help="number of shops without signal to add")
    parser.add_argument("--jobs", type=int, default=2, help="number of shops that run at the same time")
    parser.add_argument("--docs", action="store_true", help="copy table and plot to docs/shops.md")
    options = parser.parse_args()
    try:
        _run(options)
    except HoldfastError as error:
        sys.exit(str(error))


def _run(options: argparse.Namespace) -> None:
    known, missing = list_shops()
    months = tuple(int(number) for number in options.months.split(","))
    selected = select_shops(known, [name for name in options.shops.split(",") if name])
    shops = [replace(shop, months_earlier=months) for shop in selected]
    for message in missing:
        print(message)
    folder, training = (FOLDER / "quick", QUICK) if options.quick else (FOLDER, TrainingSettings())
    results = run_shops([*shops, *list_coin_tosses(options.tosses)], training, folder, options.jobs)
    figures = _run_protocol(folder) if any(shop.name == "cdnow" for shop in shops) else {}
    goals = check_goals(results, figures)
    write_report(results, figures, goals, folder)
    print(f"\n{_markdown(results, figures, goals)}\nReport: {folder / 'report.md'}, plot: {folder / 'shops.png'}")
    if options.docs:
        update_docs(folder)
    if any(goal.met is False for goal in goals):
        sys.exit(1)


if __name__ == "__main__":
    main()
