"""Tests of the training of regressions."""
