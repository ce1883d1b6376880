"""LRRNet's branches as fused kernels: the same maps and gradients, without stored coefficients.

A *branch* is an `fusion.llrr.block.LLRR` stack with one input channel, followed by the decoder's
two reductions. Between two of its stages, pixels are coupled only through single-channel maps. A
kernel can therefore take a vector of pixels through all coefficient channels of a stage in
registers, and process rows through the stages as a pipeline; the coefficients of a whole image are
never stored.

`fusion.llrr.fast.cpu` is such a kernel for CPUs, compiled at installation if there is a compiler;
`fusion.llrr.fast.gpu` is one in Triton. `fusion.llrr.fast.branches` selects one of them, or matrix
products, for `fusion.LRRNet`.
"""
