"""Modules of the product, for tests of the code itself."""

from pathlib import Path

from tests.support.main_job import ROOT

PACKAGES = ["feature_repo", "holdfast", "flows", "services", "simulations", "deploy"]


def sources() -> list[Path]:
    """Every module of the product."""
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
