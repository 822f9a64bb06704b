"""Start of the prediction service, which waits until the registry has a champion."""

import argparse
import os
import sys
import time

from deploy.local.components import ROOT, WAITING_FOR_CHAMPION, venv_command
from feature_repo.settings import Settings
from holdfast.models.contract import CHAMPION
from holdfast.models.registered_version import RegistryError
from holdfast.models.registry_client import RegistryClient

_POLL_SECONDS = 3.0


def main() -> None:
    """Wait for a champion, give BentoML a model to start from, and become the service."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.service", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default="3000")
    options = parser.parse_args()
    settings = Settings.from_environment()
    _save_champion(settings)
    command = venv_command(
        "bentoml", "serve", "services.churn:ChurnService", "--host", options.host, "--port", options.port
    )
    os.chdir(ROOT)
    os.execv(command[0], command)


def _save_champion(settings: Settings) -> None:
    """Save the champion in BentoML's store, which must contain a model; later champions come from the registry."""
    registry, reported = RegistryClient(settings.mlflow_tracking_uri), ""
    while True:
        try:
            served, content = registry.download_by_alias(CHAMPION)
            break
        except RegistryError as error:
            if reported != str(error):
                reported = str(error)
                sys.stderr.write(f"The service {WAITING_FOR_CHAMPION}. {reported}\n")
            time.sleep(_POLL_SECONDS)
    # The import takes a second, so not before there is a model.
    from holdfast.packaging.bento_stores import save_served_model

    save_served_model(settings, served, content)


if __name__ == "__main__":
    main()
