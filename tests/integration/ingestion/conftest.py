"""Fixtures of the ingestion tests."""

from tests.support.ingestion_fixtures import batches, checked, ingest, settings, simple, source, tables

__all__ = ["batches", "checked", "ingest", "settings", "simple", "source", "tables"]
