"""The lab's results as a page with charts, in English and Chinese."""
