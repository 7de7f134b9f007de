"""Addresses of servers: which are taken, and how they are told without their passwords."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from importlib.util import find_spec

TRACKERS = {"http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks"}
"""Schemes that MLflow takes; packages may add others to it."""
LEDGERS = {"postgresql", "sqlite"}


def masked(text: str) -> str:
    """`text` without the secrets of the URIs in it: it is printed, reported, and logged."""
    text = re.sub(r"(://[^\s:/@]*):\S*@", r"\1:***@", text)
    text = re.sub(r"(\bhttps?://)[^\s:/@]+@", r"\1***@", text)  # a token that stands alone
    return re.sub(r"([?&]\w*password=)[^\s&]*", r"\1***", text)


def tracker(uri: str) -> str:
    """The address of an MLflow server or of its database.

    Raises:
        ValueError: MLflow would not know what to do with it.
    """
    added = {plugin.name for plugin in entry_points(group="mlflow.tracking_store")}
    return _checked(uri, TRACKERS | added)


def ledger(uri: str) -> str:
    """The address of a database that holds Optuna's studies.

    Raises:
        ValueError: it is of another kind, or the library that speaks to it is not installed.
    """
    if _checked(uri, LEDGERS).startswith("postgresql") and find_spec("psycopg2") is None:
        raise ValueError("PostgreSQL needs psycopg2: pip install 'tvae-bench[server]'")
    return uri


def _checked(uri: str, schemes: set[str]) -> str:
    scheme, found, _ = uri.partition("://")
    # a driver may be named: postgresql+psycopg2
    if not found or scheme.partition("+")[0] not in schemes or re.search(r"\s", uri):
        known = ", ".join(f"{name}://" for name in sorted(schemes))
        raise ValueError(f"must begin with one of {known}, and have no spaces")
    return uri
