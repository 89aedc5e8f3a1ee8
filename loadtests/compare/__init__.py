"""`sluice compare`: whether loads match, whether arms differ, and how configurations differ."""
