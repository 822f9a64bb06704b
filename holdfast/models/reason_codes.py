"""Reason codes of a score: the groups of inputs with the largest effects, in plain words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from feature_repo.reason_texts import NEW_CATEGORY, REASON_TEXTS, InputValues, ReasonText, describe_input
from holdfast.models.categories import InputCategories
from holdfast.models.contributions import TOLERANCE

MAX_REASONS = 3


@dataclass(frozen=True)
class ReasonCode:
    """Reason code of a score.

    Attributes:
        text: Reason in words.
        effect: Sum of the contributions of ``inputs`` to the log-odds, relative to the typical customer; never zero.
        inputs: Model inputs of the reason.
    """

    text: str
    effect: float
    inputs: tuple[str, ...]

    @property
    def direction(self) -> Literal["raises", "lowers"]:
        """Return the direction of the effect on the churn probability."""
        return "raises" if self.effect > 0 else "lowers"


def select_reasons(
    names: Sequence[str],
    values: Sequence[float],
    contributions: Sequence[float],
    limit: int = MAX_REASONS,
    categories: Mapping[str, InputCategories] | None = None,
) -> list[ReasonCode]:
    """Select the reasons with the largest effects, largest first.

    Args:
        names: Names of the model inputs.
        values: Inputs of one customer, shape (inputs,); NaN is missing.
        contributions: Contributions to the log-odds, shape (inputs,).
        limit: Largest number of reasons.
        categories: Categorical input to its categories, by which its code becomes a text.

    Returns:
        Reasons; those without an effect are left out.
    """
    known: dict[str, float | str] = {name: float(value) for name, value in zip(names, values, strict=True)}
    for name, of_input in (categories or {}).items():
        if not _is_missing(code := known[name]):
            known[name] = of_input.texts.get(float(code), NEW_CATEGORY)
    effects = {name: float(value) for name, value in zip(names, contributions, strict=True)}
    found = []
    for reason in _reason_texts(names):
        inputs = tuple(name for name in reason.inputs if name in effects)
        effect = math.fsum(effects[name] for name in inputs)
        if abs(effect) > TOLERANCE:
            found.append((effect, inputs, reason))
    found.sort(key=lambda item: -abs(item[0]))
    return [ReasonCode(_text(reason, inputs, known), effect, inputs) for effect, inputs, reason in found[:limit]]


def _reason_texts(names: Sequence[str]) -> list[ReasonText]:
    """List the reason texts with an input among ``names``, and one for each input without a reason text."""
    covered = {name for reason in REASON_TEXTS for name in reason.inputs}
    others = [ReasonText((name,), (), partial(describe_input, name)) for name in names if name not in covered]
    return [reason for reason in REASON_TEXTS if set(reason.inputs) & set(names)] + others


def _text(reason: ReasonText, inputs: Sequence[str], values: InputValues) -> str:
    if all(name in values for name in reason.required):  # otherwise the feature service lacks one
        if not any(_is_missing(values[name]) for name in reason.required):
            return reason.render(values)
        if reason.if_missing:
            return reason.if_missing
    return "; ".join(describe_input(name, values) for name in inputs)


def _is_missing(value: float | str) -> bool:
    return not isinstance(value, str) and math.isnan(value)
