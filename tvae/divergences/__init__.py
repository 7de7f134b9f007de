"""Divergences D[q, p]: what makes inference and generation cohere, and q(z) meet the prior."""
