"""Collections of published figures with captions."""
