"""All components of Holdfast on one machine: `make up`.

Process management shared with other packages is in holdfast.runtime.
"""
