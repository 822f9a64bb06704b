"""Gates of a version whose champion was trained on another label."""

from typing import Any

from feature_repo.settings import Settings
from holdfast.model_versions.candidate import ModelCandidate
from holdfast.models.contract import CHAMPION, MODEL_NAME
from tests.support.labels import purchase_label
from tests.support.registered_versions import base_shop, register_version, run_gates


def test_gates_champion_of_another_label_is_compared_on_the_outcomes_of_the_version(client: Any) -> None:
    """Both versions are evaluated on the outcomes of the new version's label, and the gate reports the difference."""
    base = base_shop()
    short = {
        "horizon_days": 30,
        "label_sql": purchase_label(30, 180).sql,
        "fingerprint": base.fingerprint | {"labels": "30"},
    }
    same, other = register_version(client, "noisy"), register_version(client, "noisy", **short)
    version = register_version(client)
    details, values = {}, {}
    for champion in (same, other):
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
        gate = next(gate for gate in run_gates(version).gates if gate.name == "not worse than the champion")
        details[champion], values[champion] = gate.detail, gate.value
    assert "with the outcomes of" not in details[same]
    customers = "customers with a purchase in the 180 days before a cut-off"
    assert (
        f"from version {other} on the same test rows, with the outcomes of version {version} for both (no purchase in "
        f"the 90 days after a cut-off; {customers}; the champion was trained on another label: no purchase in the 30 "
        f"days after a cut-off; {customers})"
    ) in details[other]
    assert values[other] == values[same]
    settings = Settings.from_environment()
    candidate = ModelCandidate(client, register_version(client, **short))
    rows = candidate.test_rows(settings)
    assert rows.keys.equals(base.test.keys)
    assert (rows.y >= base.test.y).all() and rows.y.sum() > base.test.y.sum(), "fewer buy within 30 days than within 90"
    inputs = ModelCandidate(client, same).rows_of_test(settings, candidate)
    assert (inputs.y == rows.y).all()
