"""Learned low-rank representation (LLRR): the block, its kernels, fusion of features."""
