"""What the tests of the feature repository share."""

from tests.redis_server import redis_server

__all__ = ["redis_server"]
