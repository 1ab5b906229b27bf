"""Trained models for other libraries."""
