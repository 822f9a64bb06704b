"""Bentos of the champion and their smoke test.

Container images belong to holdfast.container_image.
"""
