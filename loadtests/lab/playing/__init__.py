"""One run: a trace, a policy and an engine on a virtual clock."""
