// The kernel for x86-64 with AVX-512 as every processor since Skylake-SP and Zen 4 has it.
#if defined(__x86_64__)
#include "llrr.h"
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")
#endif
#define RGBT_LANES 16
#define RGBT_KERNEL avx512_kernel
#include "kernel.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
