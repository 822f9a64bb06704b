"""Fixtures of the service tests."""

from tests.support.service_fixtures import client, service_data, service_data_copy, service_log

__all__ = ["client", "service_data", "service_data_copy", "service_log"]
