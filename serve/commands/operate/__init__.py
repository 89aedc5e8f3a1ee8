"""Commands that talk to a gateway that serves, over HTTP."""
