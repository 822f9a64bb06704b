"""Mapping file: reading, and explanation of invalid keys and values."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.file_rules import FileRuleError
from holdfast.ingestion.mapping_columns import AmountSum, Constant, FirstOf


def load_mapping(path: Path) -> ColumnMapping:
    """Read a mapping file.

    Args:
        path: YAML file.

    Returns:
        Validated mapping.

    Raises:
        IngestError: The file is missing, is no YAML mapping, or has an invalid key or value.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IngestError(f"Mapping {path} does not exist. Check the path given as --mapping.") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise IngestError(f"Mapping {path} is not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise IngestError(f"Mapping {path} must be a YAML mapping that starts with `columns:`.")
    try:
        return ColumnMapping.model_validate(content)
    except ValidationError as error:
        problems = "".join(f"\n  {problem}" for problem in explain_errors(error))
        raise IngestError(f"Mapping {path} is not valid:{problems}") from error


def explain_errors(error: ValidationError, prefix: tuple[str, ...] = ()) -> list[str]:
    """Explain each invalid key or value of a mapping in one sentence.

    Args:
        error: Error of the validation.
        prefix: Keys that lead to the validated part.

    Returns:
        One text per problem.
    """
    problems = []
    for detail in error.errors():
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, FileRuleError):
            problems += explain_errors(cause.error, (*prefix, "files", str(cause.position)))
        else:
            problems.append(_explain(detail, prefix))
    return problems


_TYPES = {
    "string_type": "must be text, in quotes where it looks like a number or a date",
    "tuple_type": "must be a list, for example [a, b]",
    "dict_type": "must have keys and values, for example {status: paid}",
    "model_type": "must have keys and values, for example {column: status, is: cancelled}",
}
_KINDS = {
    "column": "a column name",
    "columns": "a list of columns",
    "constant": "{constant: VALUE}",
    "sum": "{add: [COLUMN, COLUMN], subtract: [COLUMN]}",
    "first_of": "{first_of: [COLUMN, COLUMN]}",
}


def _explain(detail: Any, prefix: tuple[str, ...]) -> str:
    location = detail["loc"]
    position = 3 if location[:2] == ("columns", "attributes") else 2
    if location[:1] == ("columns",) and len(location) > position and location[position] in _KINDS:  # added by pydantic
        location = (*location[:position], *location[position + 1 :])
    key = ".".join([*prefix, *(str(part) for part in location)]) or "(top level)"
    if detail["type"] == "union_tag_invalid":
        kinds = [text for kind, text in _KINDS.items() if f"'{kind}'" in detail["ctx"]["expected_tags"]]
        return f"{key}: must be {' or '.join(kinds)}."
    if location[-1:] == ("[key]",):
        return f"{'.'.join(map(str, location[:-1]))}: the name of the column must be in quotes."
    if detail["type"] in _TYPES:
        return f"{key}: {_TYPES[detail['type']]}."
    if detail["type"] == "too_short":
        return f"{key}: needs {detail['ctx']['min_length']} values or more."
    if detail["type"] == "extra_forbidden":
        known = _known_keys(detail["loc"][:-1])
        close = get_close_matches(str(detail["loc"][-1]), known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        return f"{key}: unknown key. Known here: {', '.join(known)}.{hint}"
    if detail["type"] == "missing":
        return f"{key}: missing. Add this key."
    return f"{key}: {detail['msg'].removeprefix('Value error, ')}."


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = ColumnMapping
    for part in location:
        if part in ("constant", "first_of") and model in (AmountSum, FirstOf, Constant):
            return [str(part)]
        field = model.model_fields.get(str(part))
        model = _find_model(field.annotation if field else None) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _find_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _find_model(part))), None)
