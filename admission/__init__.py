"""Pure admission decisions: values and the time in, decisions out. Standard library and numpy only."""
