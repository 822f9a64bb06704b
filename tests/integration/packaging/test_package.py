"""What the flow tries again, and what not."""

from pathlib import Path

import pytest
from prefect import flow

from feature_repo.settings import Settings
from flows.package import download_champion_task
from holdfast.models.registered_version import NoSuchAliasError, RegistryError, RegistryUnavailableError


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("errors", "calls"),
    [
        ([RegistryUnavailableError("no answer")] * 2, 3),
        ([RegistryUnavailableError("no answer")] * 3, 3),
        ([NoSuchAliasError("no champion")], 1),
    ],
)
def test_download_champion_task_repeats_for_unavailable_registry_only(
    errors: list[RegistryError], calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def champion(self: object, alias: str) -> str:
        asked.append(alias)
        if len(asked) <= len(errors):
            raise errors[len(asked) - 1]
        return "champion"

    monkeypatch.setattr("holdfast.models.registry_client.RegistryClient.download_by_alias", champion)
    task = download_champion_task.with_options(retry_delay_seconds=0)

    @flow(name="fetch", persist_result=False)
    def fetch() -> object:
        return task(Settings(data=tmp_path))

    if len(errors) < calls:
        assert fetch() == "champion"
    else:
        with pytest.raises(type(errors[-1])):
            fetch()
    assert len(asked) == calls
