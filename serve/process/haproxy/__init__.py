"""HAProxy in front of the replicas: its configuration, its launcher, its stand-in."""
