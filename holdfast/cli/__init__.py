"""Commands that are no flow: `python -m holdfast`.

A command only parses options and renders; the work is in the package that it calls.
"""
