"""Parsers of the columns of a source: strings to typed transaction columns."""
