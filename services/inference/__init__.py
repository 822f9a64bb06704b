"""Score requests in batches, explain and record the scores.

HTTP belongs to services.api, selection of the model to services.models, reading of features to services.features.
"""
