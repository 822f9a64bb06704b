"""Simulations of faults in a running Holdfast, with real servers and real data.

No product package imports this package.
"""
