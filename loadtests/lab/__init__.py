"""The policy lab: plays traces in virtual time through admission policies and vLLM's scheduler."""
