"""What a process computes with. The same sums in another order differ in the last bits.

OpenBLAS and numpy choose their code by the processor: a model that was fitted on one machine is not the same to the
last bit on another, unless the other is held to what the first one used.
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
    """``blas``: the kernels of OpenBLAS, "" without one. ``simd``: what numpy uses beyond its baseline."""

    blas: str
    simd: list[str]

    def __str__(self) -> str:
        return f"OpenBLAS {self.blas}, numpy {' '.join(self.simd) or 'baseline'}"


NUMERIC_ENVIRONMENT = TypeAdapter(NumericEnvironment)


def current_numeric_environment() -> NumericEnvironment:
    """That of this process. numpy and scipy each bring an OpenBLAS; both choose alike."""
    import scipy.linalg  # noqa: F401  loads the second one

    kernels = {str(library.get("architecture", library["internal_api"])) for library in threadpool_info()
               if library["user_api"] == "blas"}  # fmt: skip
    found, _ = _simd()
    return NumericEnvironment(" ".join(sorted(kernels)), found)


def pinned_environment(recorded: NumericEnvironment) -> Mapping[str, str]:
    """The variables that hold a new process to ``recorded``, as far as this processor can."""
    others = [name for names in _simd() for name in names if name not in recorded.simd]
    kernels = {"OPENBLAS_CORETYPE": recorded.blas} if recorded.blas.isalnum() else {}
    return kernels | {"NPY_DISABLE_CPU_FEATURES": " ".join(others)}


def _simd() -> tuple[list[str], list[str]]:
    """Instruction sets that numpy uses here beyond its baseline, and those that it could use elsewhere."""
    known: Any = np.show_config(mode="dicts")
    extensions = known.get("SIMD Extensions", {})
    return list(extensions.get("found", [])), list(extensions.get("not found", []))
