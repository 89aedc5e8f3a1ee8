"""Policies side by side on one trace: settings tried, 1.0 x found, differences."""
