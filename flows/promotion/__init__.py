"""Promotion: the checks a version must pass, and the alias that makes it the champion."""
