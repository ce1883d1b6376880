// The kernel for what every processor of the architecture has: SSE2 or NEON.
#define RGBT_LANES 4
#if defined(__aarch64__)
#define RGBT_FUSED 1
#else
#define RGBT_FUSED 0
#endif
#define RGBT_KERNEL baseline_kernel
#include "kernel.h"
