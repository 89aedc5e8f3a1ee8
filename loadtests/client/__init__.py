"""The client: speaks to the endpoint, times its answers, watches that it keeps up itself."""
