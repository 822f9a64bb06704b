"""Reports for people: run summary, model card, lineage tree, version timeline.

The values shown are computed in the package that owns them.
"""
