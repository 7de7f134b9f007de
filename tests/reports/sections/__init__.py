"""Tests of the sections of a page."""
