"""A busy machine is no failure: Hypothesis has no deadline here, and few examples."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "plain", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("plain")
