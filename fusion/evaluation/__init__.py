"""Quality of fused images: metrics, and tables that compare methods."""
