"""What a run says of where its model came from."""

import json
from collections.abc import Mapping

from pydantic import ValidationError

from holdfast.core.errors import HoldfastError
from holdfast.training.lineage import LINEAGE, Lineage
from holdfast.training.mlflow_tracking import LINEAGE_FILE
from holdfast.training.numeric_environment import ARITHMETIC, Arithmetic


class NoLineageError(HoldfastError):
    """The run of a version does not say where it came from."""


def lineage_in(files: Mapping[str, bytes], where: str) -> Lineage:
    """The lineage among the files of a run.

    Raises:
        NoLineageError: It is not there, or nothing that Holdfast wrote.
    """
    if LINEAGE_FILE not in files:
        raise NoLineageError(f"{where} has no {LINEAGE_FILE}: `python -m flows.train` did not make it.")
    try:
        return LINEAGE.validate_json(files[LINEAGE_FILE])
    except ValidationError as error:
        raise NoLineageError(
            f"{where}: {LINEAGE_FILE} is not as Holdfast writes it ({error.errors()[0]['msg']}). "
            "Restore it from a backup of the run."
        ) from error


def arithmetic_in(files: Mapping[str, bytes]) -> Arithmetic | None:
    """What a model was computed with, where its lineage says so."""
    told = json.loads(files[LINEAGE_FILE]).get("arithmetic")
    return ARITHMETIC.validate_python(told) if told else None
