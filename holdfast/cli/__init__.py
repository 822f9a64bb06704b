"""Commands of `python -m holdfast`: options and console output of what other packages do."""
