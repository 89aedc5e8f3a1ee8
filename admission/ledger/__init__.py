"""What running requests hold and will hold: leases by row, and the demand curve over future steps.

Only step records and lease ends change it. It is a promise, corrected by what the engine reports:
never below it, at most a block per sequence above.
"""
