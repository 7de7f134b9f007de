"""Rows to verdicts to one HTML file. Knows nothing of how rows were made."""
