"""`sluice compare`: same load, do the arms separate, what changed in the configuration."""
