"""BentoML service: reads online features at the request and scores them.

Ships with feature_repo and holdfast.{core,feast_stores,models,online_features}; it never imports flows.
"""
