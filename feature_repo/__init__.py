"""Feature definitions, labels and reason texts: the files that a data scientist edits.

All other code belongs to holdfast/.
"""
