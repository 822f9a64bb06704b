"""Fixtures of the deployment tests."""

from tests.support.service_fixtures import world

__all__ = ["world"]
