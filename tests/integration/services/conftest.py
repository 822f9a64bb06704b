"""Fixtures of the service tests."""

from tests.support.service_fixtures import client, own_world, service_log, world

__all__ = ["client", "own_world", "service_log", "world"]
