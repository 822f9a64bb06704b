"""Feature reads, input checks, scoring and recording of a prediction.

HTTP belongs to services.api, selection of the model to services.models.
"""
