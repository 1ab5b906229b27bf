"""Evaluators: from a model to predictions, and from predictions to scores."""
