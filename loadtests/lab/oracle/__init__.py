"""What was possible: schedules made with true lengths, and a bound that no schedule passes."""
