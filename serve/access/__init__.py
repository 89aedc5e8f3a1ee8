"""API keys and the tenants behind them, re-read while serving."""
