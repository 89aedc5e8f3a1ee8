"""Pure admission decisions: values and the time in, decisions out. No framework, no clock."""
