"""The status page: how everything stands, on one page."""
