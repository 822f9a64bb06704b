"""The metrics and labels that a PromQL expression names: no parser, but enough of one for that."""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<range>\[[^]]*\])|(?P<number>\d[\w.]*)"""
    r"""|(?P<name>[A-Za-z_:][\w:]*)|(?P<sign>=~|!~|[!=<>]=|[-+*/%^(){},<>=])|(?P<space>\s+)"""
)
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "bool", "offset", "Inf", "NaN"}


@dataclass(frozen=True)
class Selector:
    """A metric and its matchers: label, sign, value."""

    metric: str
    matchers: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Query:
    """What an expression names; ``grouping`` are the labels of its by, on and the like."""

    selectors: list[Selector] = field(default_factory=list)
    grouping: set[str] = field(default_factory=set)


def read(expression: str) -> Query:
    """What ``expression`` names.

    Raises:
        ValueError: It holds what no PromQL holds.
    """
    tokens = _tokens(expression)
    query = Query()
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        place += 1
        if kind != "name" or text in _WORDS:
            continue
        follows = tokens[place][1] if place < len(tokens) else ""
        if text in _GROUPING:
            if follows == "(":
                end = tokens.index(("sign", ")"), place)
                query.grouping.update(name for part, name in tokens[place:end] if part == "name")
                place = end
        elif follows == "{":
            end = tokens.index(("sign", "}"), place)
            inside = [token for token in tokens[place + 1 : end] if token != ("sign", ",")]
            triples = zip(inside[::3], inside[1::3], inside[2::3], strict=True)
            query.selectors.append(
                Selector(text, [(label[1], sign[1], value[1][1:-1]) for label, sign, value in triples])
            )
            place = end
        elif follows not in ("(", *_GROUPING):  # else it is a function or an aggregation
            query.selectors.append(Selector(text, []))
    return query


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    while place < len(expression):
        found = _TOKEN.match(expression, place)
        if found is None:
            raise ValueError(f"no PromQL at {expression[place : place + 20]!r} in {expression!r}")
        place = found.end()
        if found.lastgroup != "space":
            tokens.append((str(found.lastgroup), found.group()))
    return tokens
