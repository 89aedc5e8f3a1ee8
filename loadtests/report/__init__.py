"""What a run or a search came to: its page, charts and tables, made from what was recorded."""
