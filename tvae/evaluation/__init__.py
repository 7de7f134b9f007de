"""Metrics: what is measured of a trained model. One metric, one file."""
