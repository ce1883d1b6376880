"""The siamese network: backbone, neck, heads, fusion of branches, weights files."""
