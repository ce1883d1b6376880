"""One-pass evaluation: precision, normalised precision and success."""
