"""Benchmark of the costs by the size of a shop: `make bench-scale`.

    python -m benchmarks.bench_scale [--size 100000] [--file-type parquet]

Generates a shop in a temporary folder and measures each work beside its reference, in a process per work. The peak
memory is that of the process after the work and before its reference. Results are printed and written to
bench-scale.json in the data folder.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.scale.shop_generator import MAPPING, write_shop
from feature_repo.settings import Settings

_ROOT = Path(__file__).resolve().parents[1]
_Result = dict[str, str | int | float | bool]


def run_works(customers: int, file_type: str, folder: Path) -> list[_Result]:
    """Generate a shop and run every work on it, each in another process.

    Args:
        customers: Number of customers.
        file_type: ``parquet`` or ``csv``.
        folder: Empty folder.

    Returns:
        Result per work.
    """
    from benchmarks.scale.works import WORKS

    write_shop(folder, customers, file_type=file_type)
    (folder / "shop.yaml").write_text(MAPPING)
    environment = os.environ | {"HOLDFAST_DATA": str(folder / "data"), "PYTHONPATH": str(_ROOT)}
    results = []
    for name in WORKS:
        command = [sys.executable, "-m", "benchmarks.bench_scale", "--work", name, "--folder", str(folder)]
        done = subprocess.run(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        results.append({"work": name, "size": customers, **json.loads(done.stdout.splitlines()[-1])})
        print(_format(results[-1]), flush=True)
    return results


def measure_work(name: str, folder: Path) -> _Result:
    """Measure one work and its reference, in this process.

    Args:
        name: Name of the work.
        folder: Folder of the benchmark.

    Returns:
        Result.
    """
    from benchmarks.scale.works import WORKS

    work = WORKS[name]
    measurement = work.prepare(folder)
    seconds = _time(measurement.run)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    reference = _time(measurement.reference)
    return {
        "rows": measurement.rows,
        "seconds": round(seconds, 3),
        "reference": work.reference,
        "reference_seconds": round(reference, 3),
        "ratio": round(seconds / reference, 3),
        "goal": work.goal,
        "reached": seconds <= work.goal * reference,
        "peak_mb": peak,
        "rows_per_second": round(measurement.rows / seconds),
    }


def _time(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _format(result: _Result) -> str:
    return (
        f"{result['work']:<14} {result['rows']:>11,} rows {result['seconds']:>8.2f} s, {result['rows_per_second']:>9,} "
        f"rows/s, {result['peak_mb']:>6,} MB; {result['ratio']:.2f} times {result['reference']} "
        f"(goal {result['goal']:g}{'' if result['reached'] else ', missed'})"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=100_000, help="number of customers")
    parser.add_argument("--file-type", choices=["parquet", "csv"], default="parquet", help="type of the source files")
    parser.add_argument("--work", help=argparse.SUPPRESS)  # of a process of the benchmark itself
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(measure_work(options.work, options.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        results = run_works(options.size, options.file_type, Path(name))
    path = Settings.from_environment().data / "bench-scale.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
