"""Import of Feast without the run-time type checks of its classes.

Feast decorates 22 classes with typeguard's ``@typechecked``, which rewrites and compiles the source of each class in
every process: more than half of the time that an import of Feast takes.
"""

import functools
from typing import Any

import typeguard


def skip_feast_type_checks() -> None:
    """Let typeguard's decorator change no class of Feast that is imported later in this process."""
    check = typeguard.typechecked

    @functools.wraps(check)
    def typechecked(target: Any = None, **options: Any) -> Any:
        return target if getattr(target, "__module__", "").startswith("feast.") else check(target, **options)

    setattr(typeguard, "typechecked", typechecked)  # noqa: B010  mypy forbids to assign a function
