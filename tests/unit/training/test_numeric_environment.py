"""Numeric environment of a process, and pinning of a new process."""

import os
import platform
import subprocess
import sys

import pytest

from holdfast.training.numeric_environment import NumericEnvironment, current_numeric_environment, pinned_environment

_PRINT = "from holdfast.training.numeric_environment import current_numeric_environment as now; print(now())"


def _new_process(variables: dict[str, str]) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in pinned_environment(current_numeric_environment())
    }
    done = subprocess.run(
        [sys.executable, "-c", _PRINT], env=environment | variables, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_current_numeric_environment_this_process_names_kernels() -> None:
    here = current_numeric_environment()
    assert here.blas
    assert str(here).startswith(f"OpenBLAS {here.blas}, numpy ")
    assert str(NumericEnvironment("Haswell", [])) == "OpenBLAS Haswell, numpy baseline"


def test_pinned_environment_new_process_same_numeric_environment() -> None:
    assert _new_process(dict(pinned_environment(current_numeric_environment()))) == str(current_numeric_environment())


def test_pinned_environment_without_openblas_sets_no_core_type() -> None:
    assert "OPENBLAS_CORETYPE" not in pinned_environment(NumericEnvironment("", []))
    assert "OPENBLAS_CORETYPE" not in pinned_environment(NumericEnvironment("Haswell Zen", []))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names kernels of x86")
def test_pinned_environment_older_processor_used_by_new_process() -> None:
    older = NumericEnvironment("Nehalem", [])
    assert _new_process(dict(pinned_environment(older))) == str(older)
