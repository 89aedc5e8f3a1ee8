"""`sluice limit`: how many users an endpoint carries within an SLO, and what fails first above."""
