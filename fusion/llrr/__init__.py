"""Learned low-rank representation (LLRR): the block, its fast kernels, fusion of features."""
