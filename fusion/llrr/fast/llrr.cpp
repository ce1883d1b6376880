// Entry points of the shared library: choice of the instruction set, and threads.
//
// Work is divided by images, branches and chunks of columns. A pixel is computed in the same order
// wherever its chunk begins, so that results depend neither on chunks nor on the number of threads.
// Threads exist for one call only, so a fork is safe.
#include "llrr.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <new>
#include <thread>
#include <vector>

namespace {

using rgbt::Kernel;
using rgbt::Shape;

struct Level {
    const char* name;
    const Kernel* kernel;
    bool supported;
};

// From the best to the most common.
std::vector<Level> levels() {
    std::vector<Level> all;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    all.push_back({"avx512", &rgbt::avx512_kernel,
                   avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")});
    all.push_back({"avx2", &rgbt::avx2_kernel, avx2});
#endif
    all.push_back({"baseline", &rgbt::baseline_kernel, true});
    return all;
}

const Kernel* kernel_named(const char* name) {
    for (const Level& level : levels())
        if (level.supported && !std::strcmp(level.name, name)) return level.kernel;
    return nullptr;
}

struct Scratch {
    float* data;
    explicit Scratch(std::size_t floats)
        : data(static_cast<float*>(
              ::operator new(floats * sizeof(float), std::align_val_t(64), std::nothrow))) {}
    ~Scratch() { ::operator delete(data, std::align_val_t(64)); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
};

// Run work(task, scratch) for all tasks. Returns false if out of memory.
template <class Work>
bool run(int threads, int tasks, std::size_t scratch_floats, Work work) {
    std::atomic<int> next{0};
    std::atomic<bool> ok{true};
    auto worker = [&] {
        const Scratch scratch(scratch_floats);
        if (!scratch.data) {
            ok = false;
            return;
        }
        for (int task = next++; task < tasks; task = next++) work(task, scratch.data);
    };
    std::vector<std::thread> others;
    try {
        for (int i = 1; i < threads && i < tasks; ++i) others.emplace_back(worker);
    } catch (const std::exception&) {
        // Continue with fewer threads.
    }
    worker();
    for (std::thread& thread : others) thread.join();
    return ok;
}

enum Status { OK = 0, NO_SUCH_LEVEL = 1, NO_MEMORY = 2 };

}  // namespace

#define RGBT_API extern "C" __attribute__((visibility("default")))

// Name of the level at position `index` of those this processor has, the best first; null past the
// last.
RGBT_API const char* rgbt_llrr_level(int index) {
    for (const Level& level : levels())
        if (level.supported && index-- == 0) return level.name;
    return nullptr;
}

// x [branches][batch][height][width], packed [branches][Parameters], out: maps
// [branches][batch][2][height][width] and, unless null, residuals
// [branches][batch][blocks][height][width].
RGBT_API int rgbt_llrr_forward(const char* level, int threads, int branches, int batch, int height,
                               int width, int filters, int blocks, int chunk, const float* x,
                               const float* packed, float* maps, float* residuals) {
    const Kernel* const kernel = kernel_named(level);
    if (!kernel) return NO_SUCH_LEVEL;
    const Shape shape{height, width, filters, blocks};
    const int chunks = (width + chunk - 1) / chunk;
    const int columns = std::min(width, (width + chunks - 1) / chunks + 2 * rgbt::halo(shape));
    auto work = [&](int task, float* scratch) {
        const int picture = task / chunks, part = task % chunks;
        const std::size_t pixels = shape.pixels();
        const rgbt::Forward one{
            x + picture * pixels,
            packed + picture / batch * shape.parameters(),
            maps + picture * 2 * pixels,
            residuals ? residuals + std::size_t(picture) * blocks * pixels : nullptr,
            int(std::int64_t(width) * part / chunks),
            int(std::int64_t(width) * (part + 1) / chunks)};
        kernel->forward(shape, one, scratch);
    };
    const std::size_t scratch = kernel->forward_scratch(shape, columns);
    return run(threads, branches * batch * chunks, scratch, work) ? OK : NO_MEMORY;
}

// As rgbt_llrr_forward; out: grad_x like x, and unless null grad_packed
// [branches][batch][Parameters], one share per image.
RGBT_API int rgbt_llrr_backward(const char* level, int threads, int branches, int batch, int height,
                                int width, int filters, int blocks, const float* x,
                                const float* packed, const float* residuals,
                                const float* grad_maps, float* grad_x, float* grad_packed) {
    const Kernel* const kernel = kernel_named(level);
    if (!kernel) return NO_SUCH_LEVEL;
    const Shape shape{height, width, filters, blocks};
    auto work = [&](int picture, float* scratch) {
        const std::size_t pixels = shape.pixels();
        const rgbt::Backward one{x + picture * pixels,
                                 packed + picture / batch * shape.parameters(),
                                 residuals + std::size_t(picture) * blocks * pixels,
                                 grad_maps + picture * 2 * pixels,
                                 grad_x + picture * pixels,
                                 grad_packed ? grad_packed + picture * shape.parameters() : nullptr};
        kernel->backward(shape, one, scratch);
    };
    return run(threads, branches * batch, kernel->backward_scratch(shape), work) ? OK : NO_MEMORY;
}

// See Kernel::multiply_add; 0 if the level is not available.
RGBT_API double rgbt_llrr_multiply_add(const char* level, int rounds) {
    const Kernel* const kernel = kernel_named(level);
    return kernel ? kernel->multiply_add(rounds) : 0;
}
