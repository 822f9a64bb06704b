"""CPU code paths of BLAS and NumPy that decide the last bits of a result.

OpenBLAS and NumPy select code by processor: a model fitted on one machine differs in the last bits on another, unless
the
second uses the code paths of the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from threadpoolctl import threadpool_info

# Where nothing is recorded, what the caller has set of these counts.
PINNING_VARIABLES = ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")


@dataclass(frozen=True)
class NumericEnvironment:
    """CPU code paths of a process.

    Attributes:
        blas: Kernels of OpenBLAS, empty without OpenBLAS.
        simd: Instruction sets of NumPy beyond its baseline.
    """

    blas: str
    simd: list[str]

    def __str__(self) -> str:
        return f"OpenBLAS {self.blas}, numpy {' '.join(self.simd) or 'baseline'}"


NUMERIC_ENVIRONMENT = TypeAdapter(NumericEnvironment)


def current_numeric_environment() -> NumericEnvironment:
    """Read the code paths of this process; NumPy and SciPy each load an OpenBLAS with the same selection.

    Returns:
        The numeric environment.
    """
    import scipy.linalg  # noqa: F401  loads the second one

    kernels = {str(library.get("architecture", library["internal_api"])) for library in threadpool_info()
               if library["user_api"] == "blas"}  # fmt: skip
    found, _ = _simd()
    return NumericEnvironment(" ".join(sorted(kernels)), found)


def pinned_environment(recorded: NumericEnvironment) -> Mapping[str, str]:
    """Build the environment variables that pin a new process to recorded code paths, as far as this processor can.

    Args:
        recorded: Numeric environment to reproduce.

    Returns:
        Value by variable.
    """
    others = [name for names in _simd() for name in names if name not in recorded.simd]
    kernels = {"OPENBLAS_CORETYPE": recorded.blas} if recorded.blas.isalnum() else {}
    return kernels | {"NPY_DISABLE_CPU_FEATURES": " ".join(others)}


def _simd() -> tuple[list[str], list[str]]:
    """Return the instruction sets that NumPy uses beyond its baseline, and those that it does not use here."""
    known: Any = np.show_config(mode="dicts")
    extensions = known.get("SIMD Extensions", {})
    return list(extensions.get("found", [])), list(extensions.get("not found", []))
