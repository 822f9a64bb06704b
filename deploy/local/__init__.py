"""All components of Holdfast on one machine: `make up`.

Process helpers that others share belong to holdfast.runtime.
"""
