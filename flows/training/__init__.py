"""Training: time-ordered splits, the training set, candidates, evaluation and registration."""
