"""Collections and packages fetched from where they are published."""
