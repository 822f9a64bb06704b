"""Faults of ingest processes: kills at every step of a commit, concurrent runs, and a file size limit."""

import multiprocessing
import os
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from feature_repo.settings import Settings
from holdfast.ingestion import deduplication
from holdfast.ingestion.batches import table_files
from tests.support.ingest_pipeline import run_ingest
from tests.support.kind_sources import KIND_SOURCES, KindSource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
# (what to break off, at which call, before or after it is done)
STEPS = [
    ("mkdir", 1, "after"),
    ("write_table", 1, "half"),
    ("write_table", 1, "after"),
    ("write_table", 2, "half"),
    *(("fsync", call, "before") for call in range(1, 6)),  # three files, their folder, the folder of batches
    ("rename", 1, "before"),
    ("rename", 1, "after"),
]
every_kind = pytest.mark.parametrize("of_kind", KIND_SOURCES, ids=lambda source: source.kind)


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """Return a fork server that has imported the ingest pipeline, so that processes start quickly."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.ingest_pipeline", "duckdb", "pyarrow.parquet", __name__])
    yield context


def _die_at(step: str, call: int, when: str) -> None:
    holder: Any = {"write_table": pq, "mkdir": Path}.get(step, os)
    original, calls = getattr(holder, step), 0

    def fatal(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        if step == "mkdir" and "ingest-" not in str(arguments[0]):
            return original(*arguments, **options)
        calls += 1
        if calls < call:
            return original(*arguments, **options)
        if when != "before":
            original(*arguments, **options)
        if when == "half":
            arguments[1].write_bytes(arguments[1].read_bytes()[:200])
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(holder, step, fatal)


def _killed(data: Path, source: Path, mapping: Path, step: str, call: int, when: str) -> None:
    _die_at(step, call, when)
    run_ingest(Settings(data=data), source, mapping, LATER)


def _files(data: Path) -> dict[str, bytes]:
    root = data / "batches"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.long
@every_kind
def test_rerun_after_kill_at_any_step_gives_the_same_files(
    tmp_path: Path, processes: ForkServerContext, of_kind: KindSource
) -> None:
    mapping = of_kind.write_mapping(tmp_path)
    base = tmp_path / "base"
    run_ingest(Settings(data=base), of_kind.write(tmp_path / "a.csv", 0, 500), mapping, NOW)
    grown = of_kind.write(tmp_path / "b.csv", 0, 900)
    shutil.copytree(base, tmp_path / "undisturbed")
    run_ingest(Settings(data=tmp_path / "undisturbed"), grown, mapping, LATER)
    expected = _files(tmp_path / "undisturbed")
    assert len(expected) == 6
    for step, call, when in STEPS:
        data = tmp_path / f"{step}{call}{when}"
        shutil.copytree(base, data)
        child = processes.Process(target=_killed, args=(data, grown, mapping, step, call, when))
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL, f"{step} {call} was never reached"
        committed = (step, when) == ("rename", "after") or (step, call) == ("fsync", 5)
        assert _files(data) == (expected if committed else _files(base)), f"half a batch after {step} {call} {when}"
        run_ingest(Settings(data=data), grown, mapping, LATER)
        assert _files(data) == expected, f"another state after {step} {call} {when}"
        assert list((data / "staging").iterdir()) == []


def _killed_replacing(data: Path, source: Path, mapping: Path, name: str, step: str, call: int, when: str) -> None:
    _die_at(step, call, when)
    run_ingest(Settings(data=data), source, mapping, LATER, (name,), force=True)


@pytest.mark.long
@every_kind
def test_replace_killed_at_any_step_gives_the_old_or_the_new_table(
    tmp_path: Path, processes: ForkServerContext, of_kind: KindSource
) -> None:
    mapping = of_kind.write_mapping(tmp_path)
    base = tmp_path / "base"
    old = str(run_ingest(Settings(data=base), of_kind.write(tmp_path / "a.csv", 0, 500), mapping, NOW).batch_id)
    source = of_kind.write(tmp_path / "b.csv", 100, 600)
    shutil.copytree(base, tmp_path / "undisturbed")
    run_ingest(Settings(data=tmp_path / "undisturbed"), source, mapping, LATER, (old,), force=True)
    old_files, new_files = (
        table_files(Settings(data=tmp_path / name), of_kind.kind) for name in ("base", "undisturbed")
    )
    for step, call, when in STEPS:
        settings = Settings(data=tmp_path / f"replace-{step}{call}{when}")
        shutil.copytree(base, settings.data)
        child = processes.Process(
            target=_killed_replacing, args=(settings.data, source, mapping, old, step, call, when)
        )
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL, f"{step} {call} was never reached"
        committed = (step, when) == ("rename", "after") or (step, call) == ("fsync", 5)
        expected = new_files if committed else old_files
        found = table_files(settings, of_kind.kind)
        assert [path.read_bytes() for path in found] == [path.read_bytes() for path in expected]
        run_ingest(settings, source, mapping, LATER, (old,), force=True)
        assert _files(settings.data) == _files(tmp_path / "undisturbed"), f"another state after {step} {call} {when}"


def _delay(module: Any, name: str) -> None:
    lookup = getattr(module, name)

    def slow(*arguments: Any) -> Any:
        found = lookup(*arguments)
        time.sleep(0.1)  # long enough for the other process to commit in between, if nothing held it back
        return found

    setattr(module, name, slow)


def _racing(data: Path, source: Path, mapping: Path, start: Any) -> None:
    _delay(deduplication, "find_new_rows")
    _delay(deduplication, "find_changes")
    start.wait()
    run_ingest(Settings(data=data), source, mapping)


def _race(processes: ForkServerContext, data: Path, sources: list[Path], mapping: Path, of_kind: KindSource) -> Counter:
    start = processes.Barrier(len(sources))
    children = [processes.Process(target=_racing, args=(data, source, mapping, start)) for source in sources]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * len(sources)
    rows = pd.concat(pd.read_parquet(path) for path in (data / "batches").glob(f"*/{of_kind.file}"))
    rows = rows[of_kind.key].astype(object)
    return Counter(rows.where(rows.notna(), None).itertuples(index=False, name=None))


@pytest.mark.long
@every_kind
def test_concurrent_ingests_neither_lose_nor_duplicate_rows(
    tmp_path: Path, processes: ForkServerContext, of_kind: KindSource
) -> None:
    mapping = of_kind.write_mapping(tmp_path)
    sources = [of_kind.write(tmp_path / "a.csv", 0, 600), of_kind.write(tmp_path / "b.csv", 400, 1000)]
    alone: list[Counter] = [
        _race(processes, tmp_path / f"alone{i}", [source], mapping, of_kind) for i, source in enumerate(sources)
    ]
    for round_ in range(2):
        data = tmp_path / f"overlapping{round_}"
        assert _race(processes, data, sources, mapping, of_kind) == alone[0] | alone[1]
        assert len(list((data / "batches").iterdir())) == 2
    data = tmp_path / "same"
    assert _race(processes, data, [sources[0]] * 3, mapping, of_kind) == alone[0]
    assert len(list((data / "batches").iterdir())) == 1


def _limited(data: Path, source: Path, mapping: Path, size: int, errors: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        run_ingest(Settings(data=data), source, mapping, NOW)
    except OSError as error:
        errors.put(type(error).__name__)


@every_kind
def test_file_size_limit_stores_no_batch(
    tmp_path: Path, processes: ForkServerContext, batches: Callable, of_kind: KindSource
) -> None:
    mapping = of_kind.write_mapping(tmp_path)
    source = of_kind.write(tmp_path / "a.csv", 0, 5000)
    errors = processes.Queue()
    child = processes.Process(target=_limited, args=(tmp_path / "data", source, mapping, 1000, errors))
    child.start()
    assert errors.get(timeout=60) == "OSError"
    child.join(60)
    assert batches() == []
    assert list((tmp_path / "data" / "staging").iterdir()) == []
    run_ingest(Settings(data=tmp_path / "data"), source, mapping, NOW)
    assert len(batches()) == 1
