"""Training of models of kind ``regression``: the spend of a customer in the horizon.

The label, the cut-offs, the folds and the features are those of a classification.
"""
