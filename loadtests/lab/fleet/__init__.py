"""Several engines behind routers: which policy of routing serves most, in virtual time."""
