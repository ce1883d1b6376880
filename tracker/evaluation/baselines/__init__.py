"""Trackers to compare with."""
