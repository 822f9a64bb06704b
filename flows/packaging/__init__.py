"""From the registry's champion to a bento that serves it. Pure functions: Prefect is in ``flows.package``."""
