"""Alerts: told once while a trouble lasts, and delivered though a receiver is down for a while."""
