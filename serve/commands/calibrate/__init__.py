"""`sluice calibrate`: a load of our own, the steps it takes, and the linear form they come to."""
