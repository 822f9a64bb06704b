"""Feature definitions: what a data scientist edits.

Everything that is no definition, label or reason text belongs to holdfast/.
"""
