"""Small networks that an objective puts on a tower's features."""
