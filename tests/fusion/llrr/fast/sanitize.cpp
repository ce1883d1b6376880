// Runs the kernels on arrays of exactly the size they are told, for the sanitizers to watch.
#include <cstdio>
#include <initializer_list>
#include <memory>

extern "C" {
const char* rgbt_llrr_level(int index);
int rgbt_llrr_forward(const char* level, int threads, int branches, int batch, int height,
                      int width, int filters, int blocks, int chunk, const float* x,
                      const float* packed, float* maps, float* residuals);
int rgbt_llrr_backward(const char* level, int threads, int branches, int batch, int height,
                       int width, int filters, int blocks, const float* x, const float* packed,
                       const float* residuals, const float* grad_maps, float* grad_x,
                       float* grad_packed);
}

namespace {

std::unique_ptr<float[]> numbers(std::size_t size) {
    static unsigned state = 1;
    std::unique_ptr<float[]> array(new float[size]);
    for (std::size_t i = 0; i < size; ++i) {
        state = state * 1664525u + 1013904223u;
        array[i] = float(state >> 8) / (1 << 24) * .2f - .05f;  // thresholds of both signs
    }
    return array;
}

bool run(const char* level, int threads, int batch, int height, int width, int filters, int blocks,
         int chunk) {
    const int branches = 2, stages = blocks + 1, channels = 2 * filters;
    const std::size_t pixels = std::size_t(branches) * batch * height * width;
    const std::size_t parameters = stages * channels * 19 + stages + 1 + channels + 1;
    const auto x = numbers(pixels), packed = numbers(branches * parameters);
    const auto maps = numbers(2 * pixels), residuals = numbers(blocks * pixels);
    const auto grad_x = numbers(pixels), grad_packed = numbers(branches * batch * parameters);
    int status = 0;
    for (float* kept : {residuals.get(), static_cast<float*>(nullptr)})
        status |= rgbt_llrr_forward(level, threads, branches, batch, height, width, filters, blocks,
                                    chunk, x.get(), packed.get(), maps.get(), kept);
    for (float* wanted : {grad_packed.get(), static_cast<float*>(nullptr)})
        status |= rgbt_llrr_backward(level, threads, branches, batch, height, width, filters,
                                     blocks, x.get(), packed.get(), residuals.get(), maps.get(),
                                     grad_x.get(), wanted);
    return status == 0;
}

}  // namespace

int main() {
    const int sizes[][7] = {
        // batch, height, width, filters, blocks, chunk, threads
        {1, 2, 2, 4, 4, 320, 1}, {2, 2, 37, 3, 1, 16, 3}, {1, 41, 2, 3, 3, 320, 2},
        {3, 8, 8, 8, 4, 320, 2}, {1, 3, 3, 1, 0, 1, 2},   {1, 17, 33, 5, 8, 7, 3},
        {1, 9, 100, 2, 4, 30, 2}, {1, 70, 65, 2, 2, 64, 1},
    };
    int runs = 0;
    for (int index = 0; const char* level = rgbt_llrr_level(index); ++index)
        for (const auto& s : sizes) {
            if (!run(level, s[6], s[0], s[1], s[2], s[3], s[4], s[5])) return 1;
            ++runs;
        }
    if (rgbt_llrr_forward("none", 1, 1, 1, 2, 2, 1, 0, 1, nullptr, nullptr, nullptr, nullptr) != 1)
        return 1;
    std::printf("%d runs\n", runs);
}
