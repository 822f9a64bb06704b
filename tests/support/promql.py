"""Extraction of metrics and labels from PromQL expressions; not a full parser."""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<range>\[[^]]*\])|(?P<number>\d[\w.]*)"""
    r"""|(?P<name>[A-Za-z_:][\w:]*)|(?P<sign>=~|!~|[!=<>]=|[-+*/%^(){},<>=])|(?P<space>\s+)"""
)
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "Inf", "NaN"}


@dataclass(frozen=True)
class Selector:
    """Metric and its matchers (label, operator, value)."""

    metric: str
    matchers: list[tuple[str, str, str]]


@dataclass(frozen=True)
class PromqlQuery:
    """Selectors of an expression, and the labels of its by, on and similar clauses."""

    selectors: list[Selector] = field(default_factory=list)
    grouping: set[str] = field(default_factory=set)


def parse_promql(expression: str) -> PromqlQuery:
    """Extract selectors and grouping labels; raises ValueError where the text is no PromQL."""
    tokens = _tokens(expression)
    query = PromqlQuery()
    position = 0
    while position < len(tokens):
        kind, text = tokens[position]
        position += 1
        if kind != "name" or text in _KEYWORDS:
            continue
        follows = tokens[position][1] if position < len(tokens) else ""
        if text in _GROUPING:
            if follows == "(":
                end = tokens.index(("sign", ")"), position)
                query.grouping.update(name for part, name in tokens[position:end] if part == "name")
                position = end
        elif follows == "{":
            end = tokens.index(("sign", "}"), position)
            inside = [token for token in tokens[position + 1 : end] if token != ("sign", ",")]
            triples = zip(inside[::3], inside[1::3], inside[2::3], strict=True)
            query.selectors.append(
                Selector(text, [(label[1], sign[1], value[1][1:-1]) for label, sign, value in triples])
            )
            position = end
        elif follows not in ("(", *_GROUPING):  # else it is a function or an aggregation
            query.selectors.append(Selector(text, []))
    return query


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while position < len(expression):
        found = _TOKEN.match(expression, position)
        if found is None:
            raise ValueError(f"no PromQL at {expression[position : position + 20]!r} in {expression!r}")
        position = found.end()
        if found.lastgroup != "space":
            tokens.append((str(found.lastgroup), found.group()))
    return tokens
