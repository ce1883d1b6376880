"""Sequences, frames, annotations and boxes."""
