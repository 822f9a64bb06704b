"""Simulations: planted faults in a running Holdfast, with real servers and real data.

Nothing in the product imports this package.
"""
