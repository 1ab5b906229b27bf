"""What of a tower is trained: frozen layers, low-rank changes."""
