"""First look at a source: a proposed column mapping with its reasons, and what an ingest with it would store."""
