"""Gates of a version whose champion was trained on another label."""

from typing import Any

from feature_repo.labels import label_sql
from feature_repo.settings import Settings
from holdfast.model_versions.candidate import ModelCandidate
from holdfast.models.contract import CHAMPION, MODEL_NAME
from tests.support.registered_versions import base_shop, register_version, run_gates


def test_gates_champion_of_another_label_is_compared_on_the_outcomes_of_the_version(client: Any) -> None:
    """Both versions are evaluated on the outcomes of the new version's label, and the gate reports the difference."""
    base = base_shop()
    short = {"horizon_days": 30, "label_sql": label_sql(30, 180), "fingerprint": base.fingerprint | {"labels": "30"}}
    same, other = register_version(client, "noisy"), register_version(client, "noisy", **short)
    version = register_version(client)
    details, values = {}, {}
    for champion in (same, other):
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
        gate = next(gate for gate in run_gates(version).gates if gate.name == "not worse than the champion")
        details[champion], values[champion] = gate.detail, gate.value
    assert "with the outcomes of" not in details[same]
    assert (
        f"from version {other} on the same test rows, with the outcomes of version {version} for both (90-day horizon, "
        "180-day activity window; the champion was trained on another label: 30-day horizon, 180-day activity window)"
    ) in details[other]
    assert values[other] == values[same]
    settings = Settings.from_environment()
    candidate = ModelCandidate(client, register_version(client, **short))
    rows = candidate.test_rows(settings)
    assert rows.keys.equals(base.test.keys)
    assert (rows.y >= base.test.y).all() and rows.y.sum() > base.test.y.sum(), "fewer buy within 30 days than within 90"
    inputs = ModelCandidate(client, same).rows_of_test(settings, candidate)
    assert (inputs.y == rows.y).all()
