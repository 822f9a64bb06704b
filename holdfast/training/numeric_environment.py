"""Numeric environment of a process: the CPU-specific code of OpenBLAS and NumPy.

OpenBLAS and NumPy choose their code by the processor, and sums in another order differ in the last bits: a model that
is fitted on another machine is the same bit for bit only if that machine is pinned to the same code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg  # noqa: F401  loads SciPy's OpenBLAS, so that threadpool_info reports it
from pydantic import TypeAdapter
from threadpoolctl import threadpool_info

# Variables of the caller that apply when no numeric environment is recorded.
PINNING_VARIABLES = ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")


@dataclass(frozen=True)
class NumericEnvironment:
    """Numeric environment of a process.

    Attributes:
        blas: Kernels of OpenBLAS; "" without OpenBLAS.
        simd: Instruction sets that NumPy uses beyond its baseline.
    """

    blas: str
    simd: list[str]

    def __str__(self) -> str:
        return f"OpenBLAS {self.blas}, numpy {' '.join(self.simd) or 'baseline'}"


NUMERIC_ENVIRONMENT = TypeAdapter(NumericEnvironment)


def current_numeric_environment() -> NumericEnvironment:
    """Detect the numeric environment of this process.

    NumPy and SciPy each contain an OpenBLAS; both choose the same kernels.

    Returns:
        Numeric environment.
    """
    kernels = {str(library.get("architecture", library["internal_api"])) for library in threadpool_info()
               if library["user_api"] == "blas"}  # fmt: skip
    used, _ = _simd()
    return NumericEnvironment(" ".join(sorted(kernels)), used)


def pinned_environment(recorded: NumericEnvironment) -> Mapping[str, str]:
    """Compute the variables that pin a new process to a numeric environment, as far as this processor supports it.

    Args:
        recorded: Numeric environment to reproduce.

    Returns:
        Environment variables.
    """
    others = [name for names in _simd() for name in names if name not in recorded.simd]
    kernels = {"OPENBLAS_CORETYPE": recorded.blas} if recorded.blas.isalnum() else {}
    return kernels | {"NPY_DISABLE_CPU_FEATURES": " ".join(others)}


def _simd() -> tuple[list[str], list[str]]:
    """Return the instruction sets beyond NumPy's baseline: those in use, and those of other processors."""
    known: Any = np.show_config(mode="dicts")
    extensions = known.get("SIMD Extensions", {})
    return list(extensions.get("found", [])), list(extensions.get("not found", []))
