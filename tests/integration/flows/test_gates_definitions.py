"""Gates and versions of the feature definitions."""

from typing import Any

import pytest

from feature_repo.settings import Settings
from tests.support.registered_versions import base_shop, list_failed_gates, register_version, run_gates
from tests.support.small_shop import AS_OF, KNOWN_AT, register_definitions


@pytest.mark.long
def test_gates_mismatch_found_by_features_flow_fails(registry_shop: tuple[Settings, Any]) -> None:
    from feast.protos.feast.types.Value_pb2 import Value

    from flows.features import features
    from holdfast.feature_store import parity
    from tests.support.online_values import HISTORY, write_online_values

    settings, client = registry_shop
    version = register_version(client)
    features(AS_OF, KNOWN_AT)
    assert parity.load_parity(settings, register_definitions()).mismatches == 0
    write_online_values("c042", HISTORY, {"total_amount": Value(double_val=-1.0)})
    with pytest.raises(parity.ParityError):
        features(AS_OF, KNOWN_AT)
    assert list(list_failed_gates(run_gates(version))) == ["parity"]
    with pytest.MonkeyPatch.context() as patch:  # written to, and killed before it was compared
        patch.setattr("flows.features.check_parity", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            features(AS_OF, KNOWN_AT)
    assert "There is no parity report" in list_failed_gates(run_gates(version))["parity"]
    features(AS_OF, KNOWN_AT)
    assert run_gates(version).challenger


def test_gates_other_definitions_fail_direction_and_parity(client: Any) -> None:
    version = register_version(client, fingerprint=base_shop().fingerprint | {"transformations": "other"})
    stopped = list_failed_gates(run_gates(version))
    assert "of the feature definitions is not registered" in stopped["behaviour: direction"]
    assert "There is no parity report of version" in stopped["parity"]
