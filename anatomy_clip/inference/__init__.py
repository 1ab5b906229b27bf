"""From scores to decisions: calibrated probabilities and lists."""
