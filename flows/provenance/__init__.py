"""Where a model version came from, what became of it, and whether it can be made again.

No part of the training key: a change here changes no model.
"""
