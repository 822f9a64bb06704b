"""Read and check the features of a request: the online store with its circuit breaker and cache, the definitions.

Scores belong to services.inference, definitions and transformations to feature_repo.
"""
