"""Commands of `python -m holdfast`, one module each: options, calls of other packages, console output.

Logic belongs to the package that a command calls; commands that run a flow belong to flows.
"""
