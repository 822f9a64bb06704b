"""HTTP interface: middleware, authorization, OpenAPI schema, response bodies.

Scoring belongs to services.inference.
"""
