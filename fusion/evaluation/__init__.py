"""Evaluation of fused pictures and videos: metrics, conventions, tables."""
