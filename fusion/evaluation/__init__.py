"""Quality of fused pictures: metrics, and tables that compare methods."""
