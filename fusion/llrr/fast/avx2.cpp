// The kernel for x86-64 with AVX2 and FMA.
#if defined(__x86_64__)
#include "llrr.h"
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define RGBT_LANES 8
#define RGBT_KERNEL avx2_kernel
#include "kernel.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
