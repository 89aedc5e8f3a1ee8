"""The best possible: schedules with true lengths, and a bound that no schedule exceeds."""
