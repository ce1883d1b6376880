// Interface between the dispatcher (llrr.cpp) and the kernels (kernel.h, compiled once per
// instruction set).
//
// A *branch* is an LLRR stack of one input channel followed by the decoder's two reductions: it
// maps one image to two maps, low-rank and sparse. With C = 2 * filters coefficient
// channels and T blocks, in the notation of fusion/llrr/block.py:
//
//     m_0 = x,             z_0 = h_t(analysis_0 * m_0)
//     m_i = x - taps_{i-1} * z_{i-1},  z_i = h_t(analysis_i * m_i + lam z_{i-1}),  i = 1..T
//     low_rank = taps_T * z_T[:filters],  sparse = taps_T * z_T[filters:]
//
// Every * is a 3x3 convolution with bias and reflection padding.
#pragma once

#include <cstddef>
#include <cstdint>

// Code that several files compile for different instruction sets must not emit functions of its
// own, because the linker would keep only one of them.
#define RGBT_INLINE inline __attribute__((always_inline))

namespace rgbt {

struct Shape {
    int height, width;  // of an image; both at least 2
    int filters;        // number of low-rank, and of sparse, coefficient channels
    int blocks;         // T

    RGBT_INLINE int channels() const { return 2 * filters; }
    RGBT_INLINE int stages() const { return blocks + 1; }
    RGBT_INLINE std::size_t pixels() const { return std::size_t(height) * width; }
    RGBT_INLINE std::size_t parameters() const {  // floats in Parameters
        const std::size_t s = stages(), c = channels();
        return 2 * s * c * 9 + s * c + s + 1 + c + 1;
    }
};

// Parameters of a branch, or their gradients, in one float array; fusion/llrr/fast/cpu.py packs it.
template <class Float>
struct Parameters {
    Float* analysis;       // [stages][channels][9]: encode, then the blocks' analysis
    Float* analysis_bias;  // [stages][channels]
    Float* taps;           // [stages][channels][9]: the blocks' synthesis, then the reductions
    Float* taps_bias;      // [blocks + 2]: the blocks' synthesis, low-rank, sparse
    Float* threshold;      // [channels]
    Float* lam;            // [1]

    RGBT_INLINE Parameters(Float* packed, const Shape& shape) {
        const std::size_t stages = shape.stages(), channels = shape.channels();
        analysis = packed;
        analysis_bias = analysis + stages * channels * 9;
        taps = analysis_bias + stages * channels;
        taps_bias = taps + stages * channels * 9;
        threshold = taps_bias + stages + 1;
        lam = threshold + channels;
    }
};

// One image of one branch. Arrays are contiguous.
struct Forward {
    const float* x;       // [height][width]
    const float* packed;  // Parameters
    float* maps;          // out: [2][height][width]
    float* residuals;     // out: m_1..m_T, [blocks][height][width], or null
    int begin, end;       // columns to compute
};

struct Backward {
    const float* x;
    const float* packed;
    const float* residuals;
    const float* grad_maps;  // [2][height][width]
    float* grad_x;           // out: [height][width]
    float* grad_packed;      // out: Parameters, or null if not required
};

// Scratch is an array of floats, aligned to 64 bytes, with the size that the kernel states.
struct Kernel {
    std::size_t (*forward_scratch)(const Shape&, int columns);
    void (*forward)(const Shape&, const Forward&, float* scratch);
    std::size_t (*backward_scratch)(const Shape&);
    void (*backward)(const Shape&, const Backward&, float* scratch);
    // Peak arithmetic, for comparison: `rounds` times some multiply-adds that do not access
    // memory. Returns the floating-point operations done.
    double (*multiply_add)(int rounds);
};

// Columns at a chunk's inner edge that its neighbour computes too: the number of 3x3 convolutions
// from the image to the maps.
RGBT_INLINE int halo(const Shape& shape) { return 2 * shape.blocks + 2; }

extern const Kernel baseline_kernel;
#if defined(__x86_64__)
extern const Kernel avx2_kernel;
extern const Kernel avx512_kernel;
#endif

}  // namespace rgbt
