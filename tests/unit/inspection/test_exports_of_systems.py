"""First look at made-up exports of real kinds of systems: right and sure, or the first answers give the table."""

from pathlib import Path

import numpy as np
import pytest

from holdfast.inspection.inspection import Inspection, inspect_source
from tests.support.exports.further import FURTHER
from tests.support.exports.history import Export, System, sort_table
from tests.support.exports.ledgers import LEDGERS
from tests.support.exports.payments import PAYMENTS
from tests.support.exports.services import SERVICES
from tests.support.exports.webshops import WEBSHOPS

SYSTEMS = (*WEBSHOPS, *PAYMENTS, *LEDGERS, *SERVICES, *FURTHER)
# Two readings are possible: net or gross amounts, open orders, unknown states, payments of the shop; or no customer.
ASKING = {
    *("shopware", "headless", "datev_accounts"),
    *("starling", "chargebee", "eventbrite", "amazon_orders_without_buyer", "klarna_without_customer"),
    *("revolut", "ing_netherlands", "odoo", "parking", "charging"),
}


@pytest.mark.long
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.__name__)
def test_inspect_source_export_of_a_system_gives_its_table_or_asks(tmp_path: Path, system: System) -> None:
    export = system(np.random.default_rng(1))
    path = tmp_path / export.name
    path.write_bytes(export.content)
    found = inspect_source(path, {}, 90, 30)
    assert found.is_sure == (system.__name__ not in ASKING)
    while found.proposal.questions and export.tables:
        found = inspect_source(path, give_first_answers(found), 90, 30)
    assert is_right(found, export) or not export.tables


def give_first_answers(found: Inspection) -> dict[str, object]:
    given = {decision.key: decision.value for decision in found.proposal.decisions if decision.reason == "given"}
    for question in found.proposal.questions:
        given |= question.answers[0].keys
    return given


def is_right(found: Inspection, export: Export) -> bool:
    assert found.preview is not None and not found.preview.refusal
    stored = sort_table(found.preview.transactions)
    return any(stored.equals(table) for table in export.tables)
