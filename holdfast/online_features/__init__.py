"""Reads of model inputs from the online store at request time.

The stores themselves belong to holdfast.feast_stores.
"""
