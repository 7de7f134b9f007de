"""Looks on and decides nothing: MLflow, Optuna's file, the display, the dry run."""
