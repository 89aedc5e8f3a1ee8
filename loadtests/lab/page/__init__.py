"""What the lab found, as a page with charts in English and Chinese."""
