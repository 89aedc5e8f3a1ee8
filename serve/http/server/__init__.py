"""What the gateway changes of Ray Serve's and uvicorn's own HTTP code."""
