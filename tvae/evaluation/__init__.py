"""Metrics, one file each; what a metric of one's own derives from is here."""

from tvae.evaluation.base import NOT_APPLICABLE, Context, Direction, Measurement, Metric

__all__ = ["NOT_APPLICABLE", "Context", "Direction", "Measurement", "Metric"]
