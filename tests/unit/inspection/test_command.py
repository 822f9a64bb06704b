"""Command line of the first look: exit codes, the written mapping, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.ingestion.mapping_file import load_mapping
from holdfast.inspection.command import UNDECIDED, run_inspection
from tests.support.main_job import ROOT


@pytest.fixture
def export(tmp_path: Path) -> Path:
    rows = [f"k{i % 9};2024-0{1 + i % 9}-{1 + i % 28:02d};{i + 1},50" for i in range(90)]
    path = tmp_path / "shop export.csv"
    path.write_text("\n".join(["customer;date;amount", *rows, ""]), encoding="utf-8")
    return path


@pytest.fixture
def undecided(tmp_path: Path) -> Path:
    path = tmp_path / "undecided.csv"
    path.write_text("customer,date,amount\na,01/02/2025,5.5\nb,03/04/2025,7.5\n", encoding="utf-8")
    return path


def test_run_inspection_sure_exits_0_with_reasons_and_rows(
    export: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert run_inspection(["--inspect", str(export)]) == 0
    text = capsys.readouterr().out
    for part in ("decimal", "numbers such as 1,50", "Rows as stored", "Quarantine: 0 of 90 rows", "enough to train"):
        assert part in text
    assert f"--inspect '{export}' --write" in text


@pytest.mark.parametrize("width", [80, 120])
def test_run_inspection_fits_the_width_of_the_terminal(
    export: Path, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    run_inspection(["--inspect", str(export)])
    lines = [line for line in capsys.readouterr().out.splitlines() if "python -m" not in line]
    assert max(map(len, lines)) <= width


def test_run_inspection_undecided_exits_3_with_the_command_of_each_answer(
    undecided: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "mapping.yaml"
    assert run_inspection(["--inspect", str(undecided), "--write", str(target)]) == UNDECIDED
    text = capsys.readouterr().out
    assert "--set timestamp_format=%d/%m/%Y" in text and "'01/02/2025' is 2025-02-01" in text
    assert not target.exists()
    decided = ["--inspect", str(undecided), "--set", "timestamp_format=%d/%m/%Y", "--write", str(target)]
    assert run_inspection(decided) == 0
    assert load_mapping(target).timestamp_format == "%d/%m/%Y"


def test_run_inspection_existing_mapping_is_replaced_on_request_only(export: Path, tmp_path: Path) -> None:
    target = tmp_path / "mapping.yaml"
    target.write_text("mine")
    with pytest.raises(SystemExit) as error:
        run_inspection(["--inspect", str(export), "--write", str(target)])
    assert error.value.code == 1 and target.read_text() == "mine"
    assert run_inspection(["--inspect", str(export), "--write", str(target), "--overwrite"]) == 0
    assert load_mapping(target).decimal == ","


def test_run_inspection_absent_file_exits_1_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        run_inspection(["--inspect", str(tmp_path / "absent.csv")])
    assert error.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_ingest_command_with_inspect_starts_no_prefect_and_writes_nothing(export: Path, tmp_path: Path) -> None:
    script = (
        "import runpy, sys; sys.argv = ['-m', '--inspect', sys.argv[1]]\n"
        "try: runpy.run_module('flows.ingest', run_name='__main__')\n"
        "except SystemExit as error: code = error.code\n"
        "assert 'prefect' not in sys.modules; sys.exit(code)"
    )
    data = tmp_path / "data"
    environment = {"HOLDFAST_DATA": str(data), "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", script, str(export)], env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    assert not data.exists() and not (tmp_path / "home").exists()
