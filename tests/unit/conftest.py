"""Fixtures of the unit tests."""

from tests.support.postgres_server import postgres_server, postgres_url
from tests.support.redis_server import redis_server
from tests.support.shop_fixtures import client, dataset, flows_in_process, open_shop, registry_shop, shop, trained

__all__ = [
    "client",
    "dataset",
    "flows_in_process",
    "open_shop",
    "postgres_server",
    "postgres_url",
    "redis_server",
    "registry_shop",
    "shop",
    "trained",
]
