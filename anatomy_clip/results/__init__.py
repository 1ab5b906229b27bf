"""Finished runs to tables, plots and a page."""
