"""Profiles: the configuration of a deployment, checked before anything starts."""
