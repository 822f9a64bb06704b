"""Edited copies of feature_repo/, whose definitions are applied in this process."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import feature_repo

_NAMES = (
    "definitions",
    "feature_services",
    "on_demand_feature_views",
    "feature_views",
    "data_sources",
    "entities",
    "transformations",
)
Edits = Mapping[str, Sequence[tuple[str, str]]]

_NEW_SOURCE = """
{name}_snapshots = _snapshot_source("{name}", "a copy")
"""
_NEW_VIEW = """
from feature_repo.data_sources import {name}_snapshots

{name} = SnapshotView(
    name="{name}",
    entities=[customer],
    schema=[_KEY, {fields}],
    source={name}_snapshots,
    ttl=_HARD_LIMIT,
    tags=_TAGS,
)
"""
_AMOUNTS = [
    (f'        Field(name="amount_{n}d", dtype=Float64, description="Spend less returns in the last {n} days."),\n', "")
    for n in (30, 90, 180)
]
_AMOUNT_NAMES = "amount_30d amount_90d amount_180d"
_WITHOUT_AMOUNTS = (
    '"customer_recent_activity": recent_activity,',
    '"customer_recent_activity": lambda transactions, as_of: '
    f'recent_activity(transactions, as_of).drop(*"{_AMOUNT_NAMES}".split()),',
)


def new_view(name: str, columns: str, served: bool = True) -> dict[str, list[tuple[str, str]]]:
    """Edits that add a view with columns of the recent activity; other columns are copies of one."""
    fields = ", ".join(f'Field(name="{column}", dtype=Float64)' for column in columns.split())
    table = "recent_activity(transactions, as_of)"
    copies = {name: name if name.startswith("amount_") else "amount_30d" for name in columns.split()}
    build = f'lambda transactions, as_of: {table}.select("customer_id", **{copies})'
    last = '"customer_purchase_rhythm": purchase_rhythm,\n'
    edits = {
        "transformations.py": [(last, f'{last}    "{name}": {build},\n')],
        "data_sources.py": [("", _NEW_SOURCE.format(name=name))],
        "feature_views.py": [("", _NEW_VIEW.format(name=name, fields=fields))],
        "definitions.py": [
            ("from feast import Project", f"from feast import Project\nfrom feature_repo.feature_views import {name}"),
            ('    "churn_v1",', f'    "churn_v1",\n    "{name}",'),
        ],
    }  # fmt: skip
    if served:
        edits["feature_services.py"] = [
            ("from feast import", f"from feature_repo.feature_views import {name}\nfrom feast import"),
            ("        customer_purchase_rhythm,\n", f"        customer_purchase_rhythm,\n        {name},\n"),
        ]  # fmt: skip
    return edits


ADDED: Edits = {
    "transformations.py": [
        ("gross=money.sum(where=bought),", "gross=money.sum(where=bought),\n        largest=money.max(where=bought),"),
        ('=totals.net.cast("float64"),', '=totals.net.cast("float64"),\n        top=totals.largest.cast("float64"),'),
    ],
    "feature_views.py": [
        ('Field(name="mean_purchase', 'Field(name="top", dtype=Float64),\n        Field(name="mean_purchase')
    ],
    "feature_services.py": [('"total_amount", ', '"total_amount", "top", ')],
}
RENAMED: Edits = {
    "transformations.py": [("mean_purchase_amount=", "mean_amount=")],
    "feature_views.py": [("mean_purchase_amount", "mean_amount")],
    "feature_services.py": [("mean_purchase_amount", "mean_amount")],
}
CHANGES: dict[str, Edits] = {
    "feature added": ADDED,
    "feature removed": {
        "transformations.py": [('.cast("float64") for n in (30, 90, 180)', '.cast("float64") for n in (90, 180)')],
        "feature_views.py": _AMOUNTS[:1],
    },
    "feature renamed": RENAMED,
    "feature retyped": {"feature_views.py": [('days_30d", dtype=Int64', 'days_30d", dtype=Float64')]},
    "input of an on-demand view retyped": {
        "feature_views.py": [('"first_purchase_us", dtype=Int64', '"first_purchase_us", dtype=Float64')]
    },
    "window changed": {"transformations.py": [("within(180, 90)", "within(210, 90)")]},
    "on-demand function changed": {"on_demand_feature_views.py": [("day_us = 86_400_", "day_us = 43_200_")]},
    "view added": new_view("customer_copy", "copied", served=True),
    "view removed": {
        "feature_services.py": [("        customer_recent_activity,\n", "")],
        "definitions.py": [('    "customer_recent_activity",\n', "")],
    },
    "view split": {
        name: [*{"feature_views.py": _AMOUNTS, "transformations.py": [_WITHOUT_AMOUNTS]}.get(name, []), *edits]
        for name, edits in new_view("customer_recent_amounts", _AMOUNT_NAMES, served=True).items()
    },
    "ttl changed": {"feature_views.py": [("timedelta(days=30)", "timedelta(days=60)")]},
    "nullable changed": {"feature_views.py": [("last_gap_days\"}", "last_gap_days,other\"}")]},
    "increasing changed": {"on_demand_feature_views.py": [("days_since_last_purchase,lateness", "lateness")]},
    "order changed": {"feature_services.py": [('"purchase_days", "total_amount"', '"total_amount", "purchase_days"')]},
}  # fmt: skip
UNREAD: dict[str, Edits] = {
    "view added that no service reads": new_view("customer_copy", _AMOUNT_NAMES, served=False),
    "description changed": {"feature_views.py": [("Longest gap, days.", "The longest gap, days.")]},
}
NOT_NULLABLE: Edits = {"feature_views.py": [("mean_gap_days,std", "std")]}
KEY_RENAMED: Edits = {
    "entities.py": [('"customer_id"', '"client_id"')],
    "feature_views.py": [('"customer_id"', '"client_id"')],
}


@contextmanager
def edited_definitions(folder: Path, edits: Edits) -> Iterator[None]:
    """Use an edited copy of feature_repo/ as the definitions of this process, in an empty folder."""
    copy = Path(shutil.copytree(feature_repo.__path__[0], folder, ignore=shutil.ignore_patterns("__pycache__")))
    for name, replacements in edits.items():
        text = (copy / name).read_text()
        for old, new in replacements:
            assert old in text, f"{name}: {old!r}"
            text = text.replace(old, new) if old else text + new
        (copy / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_repo, "__path__", [str(copy)])
        for name in _NAMES:
            patch.delitem(sys.modules, f"feature_repo.{name}", raising=False)
            patch.delattr(feature_repo, name, raising=False)
        yield
        for name in _NAMES:
            sys.modules.pop(f"feature_repo.{name}", None)
            vars(feature_repo).pop(name, None)
