"""Fixtures of the packaging tests."""

from tests.support.service_fixtures import service_data

__all__ = ["service_data"]
