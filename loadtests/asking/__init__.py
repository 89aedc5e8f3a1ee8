"""What is asked, when, by whom and how patiently: pure, seeded, no network."""
