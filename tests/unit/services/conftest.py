"""Fixtures of the unit tests of the service."""

from tests.support.service_fixtures import service_log

__all__ = ["service_log"]
