"""The words that everything else uses: decisions, refusals, settings, SLOs. Imports no room."""
