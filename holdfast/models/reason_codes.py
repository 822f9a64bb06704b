"""The reasons for a score: the themes that move it most, in plain words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from feature_repo.reason_texts import REASON_TEXTS, InputValues, ReasonText, describe_input
from holdfast.models.contributions import TOLERANCE

MAX_REASONS = 3


@dataclass(frozen=True)
class ReasonCode:
    """``effect``: log-odds that ``inputs`` together add, compared with the typical customer; never zero."""

    text: str
    effect: float
    inputs: tuple[str, ...]

    @property
    def direction(self) -> Literal["raises", "lowers"]:
        """What it does to the risk."""
        return "raises" if self.effect > 0 else "lowers"


def select_reasons(
    names: Sequence[str], values: Sequence[float], contributions: Sequence[float], most: int = MAX_REASONS
) -> list[ReasonCode]:
    """The themes that move a score most, strongest first.

    Args:
        names: The model's inputs.
        values: What the model read of one customer, shape (inputs,); NaN is missing.
        contributions: What each input adds to the log-odds, shape (inputs,).
        most: How many reasons at most. A theme that changes nothing is none.
    """
    known = {name: float(value) for name, value in zip(names, values, strict=True)}
    effects = {name: float(value) for name, value in zip(names, contributions, strict=True)}
    found = []
    for theme in _themes_of(names):
        inputs = tuple(name for name in theme.inputs if name in effects)
        effect = math.fsum(effects[name] for name in inputs)
        if abs(effect) > TOLERANCE:
            found.append((effect, inputs, theme))
    found.sort(key=lambda item: -abs(item[0]))
    return [ReasonCode(_text(theme, inputs, known), effect, inputs) for effect, inputs, theme in found[:most]]


def _themes_of(names: Sequence[str]) -> list[ReasonText]:
    """The themes with an input among ``names``; an input that none knows is a theme of its own."""
    covered = {name for theme in REASON_TEXTS for name in theme.inputs}
    own = [ReasonText((name,), (), partial(describe_input, name)) for name in names if name not in covered]
    return [theme for theme in REASON_TEXTS if set(theme.inputs) & set(names)] + own


def _text(theme: ReasonText, inputs: Sequence[str], values: InputValues) -> str:
    if all(name in values for name in theme.required):  # else the feature service has not all of them
        if not any(math.isnan(values[name]) for name in theme.required):
            return theme.render(values)
        if theme.if_missing:
            return theme.if_missing
    return "; ".join(describe_input(name, values) for name in inputs)
