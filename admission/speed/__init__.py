"""How long an engine step takes: a linear form, learned while serving, and the engine's throughput.

One prior (`planning.linear_form` or a measured profile) is corrected by every step record.
"""
