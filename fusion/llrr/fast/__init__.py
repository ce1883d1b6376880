"""LRRNet's branches as fused kernels: the same maps and gradients, without the coefficients.

A *branch* is an `fusion.llrr.block.LLRR` stack of one input channel with the decoder's two
reductions
behind it. Between two of its stages only single-channel maps couple pixels, so that a kernel can
take a vector of pixels through all coefficient channels of a stage in registers, and rows through
the stages as a pipeline; the coefficients of a whole picture never exist.

`fusion.llrr.fast.cpu` is such a kernel for processors, compiled when the package is installed where
there is a compiler; `fusion.llrr.fast.gpu` is one in Triton. `fusion.llrr.fast.branches` picks
among them and
matrix products for `fusion.LRRNet`.
"""
