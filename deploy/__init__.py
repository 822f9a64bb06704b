"""Deployment files: local supervisor, image template, dashboards, alert rules.

Product code belongs to holdfast/.
"""
