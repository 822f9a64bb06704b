"""From files of transactions to immutable, checked batches. Pure functions: Prefect is in ``flows.ingest``."""
