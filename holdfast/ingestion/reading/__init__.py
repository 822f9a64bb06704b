"""Readers of the files of a source: unchanged values as strings."""
