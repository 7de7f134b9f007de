"""Transformation families f: what is done to an image to make its views."""
