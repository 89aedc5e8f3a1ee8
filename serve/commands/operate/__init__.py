"""Commands for a running gateway, over HTTP."""
