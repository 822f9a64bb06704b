"""What tests of the deployment share with those of the service."""

from tests.services.conftest import world

__all__ = ["world"]
