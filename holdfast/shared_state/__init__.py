"""Locks and records that several processes share: files in the data folder, or PostgreSQL for several machines.

Tables of a package belong to that package; databases of Prefect, MLflow and Feast belong to their own settings.
"""
