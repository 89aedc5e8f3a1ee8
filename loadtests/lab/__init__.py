"""The policy lab: a trace in virtual time through an admission policy and vLLM's own scheduler."""
