"""The way in: headers and body are read within limits, checked, and made what vLLM takes."""
