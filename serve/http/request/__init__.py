"""The way in: headers and body are read within limits, checked, and adapted to vLLM."""
