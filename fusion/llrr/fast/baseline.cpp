// The kernel for what every processor of the architecture has: SSE2 or NEON.
#define RGBT_LANES 4
#define RGBT_KERNEL baseline_kernel
#include "kernel.h"
