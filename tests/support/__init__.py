"""Helpers that tests and benchmarks share: servers, data, factories. No test belongs here."""
