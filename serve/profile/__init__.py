"""Profiles: what a deployment is told, checked before anything starts."""
