"""Promotion: gates that a version must pass, approval, and the aliases that make it challenger and champion."""
