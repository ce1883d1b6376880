// The LLRR kernel, forward and backward, for one instruction set. The including file defines
//   RGBT_LANES   floats in a vector register,
//   RGBT_KERNEL  the name of the Kernel to export,
// and selects the instruction set. No templates and no standard containers: the linker could merge
// their instantiations of several files, and run code of one set on a processor without it.
//
// Stages couple pixels only through the single-channel maps m_i, so the C coefficient channels of a
// pixel need to exist only while its row passes the stages. Stage i works two rows behind stage
// i - 1, and only a ring of 2 T + 1 rows of Z is stored. A convolution C -> 1 is split:
// at each pixel the nine products sum_c w[c][k] z[c] ("taps"), then nine shifted sums of maps;
// reflection commutes with the sum over channels. Backward, the same holds with the transposed
// shifts; Z is recomputed from the m_i, which are kept.

#include "llrr.h"

#define INLINE static RGBT_INLINE

namespace rgbt {
namespace {

constexpr int L = RGBT_LANES;

typedef float Vec __attribute__((vector_size(4 * RGBT_LANES)));
typedef std::int32_t Bits __attribute__((vector_size(4 * RGBT_LANES)));
typedef float Anywhere __attribute__((vector_size(4 * RGBT_LANES), aligned(4), may_alias));

INLINE Vec load(const float* p) { return *(const Anywhere*)p; }
INLINE void store(float* p, Vec v) { *(Anywhere*)p = v; }

INLINE int vectors(int columns) { return (columns + L - 1) / L; }

// Floats between the same column of two rows: a vector of margin on either side, in which
// reflection or zeros go and where unaligned loads may reach.
INLINE std::size_t row_stride(int columns) { return std::size_t(vectors(columns) + 2) * L; }

// Floats of one vector of pixels, all channels. The extra vector keeps neighbours out of the same
// cache set.
INLINE std::size_t cell_stride(const Shape& shape) { return std::size_t(shape.channels() + 1) * L; }

// ---- Maps --------------------------------------------------------------------------------------

// A single-channel map of rows with margins.
struct Map {
    float* origin;
    std::size_t stride;
    int height, width;
};

INLINE float* row_of(const Map& map, int row) { return map.origin + row * map.stride + L; }

INLINE void fill(float* row, int begin, int end, float value) {
    for (int c = begin; c < end; ++c) row[c] = value;
}

INLINE void fill(const Map& map, float value) {
    for (std::size_t i = 0; i < map.height * map.stride; ++i) map.origin[i] = value;
}

INLINE int reflect(int i, int size) { return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i; }

INLINE void reflect_margins(float* row, int width) {
    row[-1] = row[1];
    row[width] = row[width - 2];
}

INLINE void add_row(float* into, const float* row, float factor, int width) {
    for (int c = 0; c < width; ++c) into[c] += factor * row[c];
}

INLINE double sum(const Map& map) {
    double total = 0;
    for (int r = 0; r < map.height; ++r)
        for (int c = 0; c < map.width; ++c) total += row_of(map, r)[c];
    return total;
}

// ---- Nine taps ---------------------------------------------------------------------------------

// The 3x3 neighbourhood of a vector of pixels as nine vectors.
INLINE void neighbours(const float* const rows[3], int column, Vec m[9]) {
#pragma GCC unroll 3
    for (int y = 0; y < 3; ++y)
#pragma GCC unroll 3
        for (int x = 0; x < 3; ++x) m[3 * y + x] = load(rows[y] + column + x - 1);
}

// start + sum_k w[k] m[k]
INLINE Vec combine(Vec start, const Vec m[9], const float* w) {
    // Three chains, to hide the latency of a multiply-add.
    const Vec a = start + m[0] * w[0] + m[1] * w[1] + m[2] * w[2];
    const Vec b = m[3] * w[3] + m[4] * w[4] + m[5] * w[5];
    const Vec c = m[6] * w[6] + m[7] * w[7] + m[8] * w[8];
    return a + b + c;
}

INLINE void add_taps(Vec q[9], const float* w, Vec v) {
#pragma GCC unroll 9
    for (int k = 0; k < 9; ++k) q[k] += w[k] * v;
}

// Tap rows of one row of pixels: nine rows with margins.
INLINE float* tap_row(float* taps, int k, int width) { return taps + k * row_stride(width) + L; }

// Tap rows at one vector of pixels from the products of channels with nine weights each.
INLINE void take_taps(const float* weights, const float* z, int channels, float* taps, int column,
                      int width) {
    Vec q[9];
    for (int k = 0; k < 9; ++k) q[k] = Vec{};
    for (int c = 0; c < channels; ++c) add_taps(q, weights + 9 * c, load(z + c * L));
    for (int k = 0; k < 9; ++k) store(tap_row(taps, k, width) + column, q[k]);
}

// Add to `map` what the taps of `row` give its neighbours: map(p) += factor sum_k q_k(p + k),
// where q is continued by reflection.
INLINE void gather(const Map& map, float* taps, int row, float factor, float* line) {
    const int width = map.width, last = map.height - 1;
    for (int y = 0; y < 3; ++y) {
        float* const left = tap_row(taps, 3 * y, width);
        float* const middle = tap_row(taps, 3 * y + 1, width);
        float* const right = tap_row(taps, 3 * y + 2, width);
        reflect_margins(left, width);
        reflect_margins(right, width);
        for (int c = 0; c < width; ++c) line[c] = left[c - 1] + middle[c] + right[c + 1];
        const int to = row + 1 - y;
        if (to >= 0 && to <= last) add_row(row_of(map, to), line, factor, width);
        if (y == 0 && row == 1) add_row(row_of(map, 0), line, factor, width);
        if (y == 2 && row == last - 1) add_row(row_of(map, last), line, factor, width);
    }
}

// The transposed shift of a row by one column, with reflection at the ends transposed too:
// out(c) = sum of in(p) over the p whose neighbour at `offset` (-1, 0 or 1) is c.
INLINE float folded(const float* in, int c, int offset, int width) {
    const int p = c - offset;
    float value = p >= 0 && p < width ? in[p] : 0.f;
    if (offset == -1 && c == 1) value += in[0];
    if (offset == 1 && c == width - 2) value += in[width - 1];
    return value;
}

INLINE void fold_row(float* out, const float* in, int offset, int width) {
    // Except at its ends, the row is a plain shift.
    for (int c = 1; c < width - 1; ++c) out[c] = in[c - offset];
    out[0] = folded(in, 0, offset, width);
    out[1] = folded(in, 1, offset, width);
    out[width - 2] = folded(in, width - 2, offset, width);
    out[width - 1] = folded(in, width - 1, offset, width);
}

// Transpose of `gather`'s reading: nine rows G_k with G_k(u) = factor sum of g(p) over the p whose
// neighbour k is u. Margins are left as they are.
INLINE void spread(const Map& g, float* taps, int row, float factor, float* line) {
    const int width = g.width, last = g.height - 1;
    for (int y = 0; y < 3; ++y) {
        const int from = row + 1 - y;
        fill(line, 0, width, 0.f);
        if (from >= 0 && from <= last) add_row(line, row_of(g, from), factor, width);
        if (y == 0 && row == 1) add_row(line, row_of(g, 0), factor, width);
        if (y == 2 && row == last - 1) add_row(line, row_of(g, last), factor, width);
        for (int x = 0; x < 3; ++x) fold_row(tap_row(taps, 3 * y + x, width), line, x - 1, width);
    }
}

// Transpose of reading a neighbourhood: map(u) += sum of r_k(p) over the p whose neighbour k is u.
INLINE void scatter(const Map& map, float* taps, int row, float* line) {
    const int width = map.width, last = map.height - 1;
    for (int y = 0; y < 3; ++y) {
        float* const into = row_of(map, reflect(row + y - 1, last + 1));
        for (int x = 0; x < 3; ++x) {
            fold_row(line, tap_row(taps, 3 * y + x, width), x - 1, width);
            add_row(into, line, 1.f, width);
        }
    }
}

// ---- One stage at one vector of pixels -----------------------------------------------------------

// sign(v) max(|v| - t, 0); NaN stays NaN.
INLINE Vec soft_threshold(Vec v, float t) {
    const Vec magnitude = (Vec)((Bits)v & INT32_MAX) - t;
    const Vec kept = magnitude <= Vec{} ? Vec{} : magnitude;
    const Vec z = (Vec)(((Bits)v & INT32_MIN) | (Bits)kept);
    // Applied literally, a negative threshold enlarges all values except 0, whose sign is 0.
    return t < 0 ? (Vec)((Bits)z & (v != Vec{})) : z;
}

struct Stage {
    const float *analysis, *bias, *taps, *threshold;
    float lam;
};

INLINE Stage stage_of(const Parameters<const float>& p, const Shape& shape, int i) {
    const std::size_t channels = shape.channels();
    return {p.analysis + i * channels * 9,
            p.analysis_bias + i * channels,
            p.taps + i * channels * 9,
            p.threshold,
            *p.lam};
}

// Coefficients z of all channels from the neighbourhood m and those of the stage before. Their taps
// are taken in a second pass over what is then in the first level of cache: in one pass, registers
// would have to hold the nine inputs and the nine sums at once, which is slower even with 32 of them.
INLINE void analyse(const Stage& s, const Vec m[9], int channels, bool first, const float* before,
                    float* z) {
    for (int c = 0; c < channels; ++c) {
        Vec start = s.bias[c] - Vec{};  // adding a zero would cost an addition
        if (!first) start += s.lam * load(before + c * L);
        const Vec v = combine(start, m, s.analysis + 9 * c);
        store(z + c * L, soft_threshold(v, s.threshold[c]));
    }
}

// Gradient at the input of the threshold of the channels [begin, end), from the nine spread gradients
// G of the taps and, but for the last stage, lam times that of the stage behind, which it overwrites.
INLINE void differentiate(const Stage& s, const Vec G[9], int begin, int end, bool last,
                          const float* z, float* grad) {
    for (int c = begin; c < end; ++c) {
        const Vec g = combine(last ? Vec{} : s.lam * load(grad + c * L), G, s.taps + 9 * c);
        store(grad + c * L, (Vec)((Bits)g & (load(z + c * L) != Vec{})));
    }
}

INLINE void neighbour_rows(const Map& m, int row, const float* rows[3]) {
    for (int y = 0; y < 3; ++y) rows[y] = row_of(m, reflect(row + y - 1, m.height));
}

// ---- Forward -----------------------------------------------------------------------------------

INLINE int ring_rows(const Shape& shape, int rows_a_step) { return 2 * shape.blocks + rows_a_step; }

std::size_t forward_scratch(const Shape& shape, int columns) {
    const std::size_t maps = std::size_t(shape.stages() + 2) * shape.height;
    return (maps + 2 * 9 + 1) * row_stride(columns) +
           ring_rows(shape, 1) * vectors(columns) * cell_stride(shape);
}

// One row of a stage: coefficients in place, their taps to one array of tap rows, or to two, one
// for each half of the channels, in the last stage.
INLINE void forward_row(const Stage& stage, const Shape& shape, const Map& m, int row, bool first,
                        bool last, float* z, float* taps) {
    const std::size_t cell = cell_stride(shape);
    const float* rows[3];
    neighbour_rows(m, row, rows);
    const int halves = last ? 2 : 1, channels = shape.channels() / halves;
    for (int v = 0; v < vectors(m.width); ++v, z += cell) {
        Vec near[9];
        neighbours(rows, v * L, near);
        analyse(stage, near, shape.channels(), first, z, z);
        for (int half = 0; half < halves; ++half) {
            const int begin = half * channels;
            take_taps(stage.taps + 9 * begin, z + begin * L, channels,
                      taps + half * 9 * row_stride(m.width), v * L, m.width);
        }
    }
}

void forward(const Shape& shape, const Forward& task, float* scratch) {
    const int blocks = shape.blocks, height = shape.height;
    // Inner edges of a chunk are treated like the image's; columns affected by this are discarded.
    const int from = task.begin > halo(shape) ? task.begin - halo(shape) : 0;
    const int to = task.end + halo(shape) < shape.width ? task.end + halo(shape) : shape.width;
    const int width = to - from;
    const Parameters<const float> parameters(task.packed, shape);

    // maps[0..T] are m_0..m_T, then low-rank and sparse; sums are added to biases.
    auto map_at = [&](int i) {
        const std::size_t stride = row_stride(width);
        return Map{scratch + i * height * stride, stride, height, width};
    };
    for (int i = 0; i < blocks + 3; ++i) {
        const Map map = map_at(i);
        fill(map, 0.f);
        for (int r = 0; r < height; ++r) {
            const float* const x = task.x + std::size_t(r) * shape.width + from;
            float* const row = row_of(map, r);
            if (i == 0)
                add_row(row, x, 1.f, width);
            else if (i <= blocks)
                for (int c = 0; c < width; ++c) row[c] = x[c] - parameters.taps_bias[i - 1];
            else
                fill(row, 0, width, parameters.taps_bias[i - 1]);
        }
    }
    float* const taps = scratch + (blocks + 3) * height * row_stride(width);
    const std::size_t taps_size = 9 * row_stride(width);
    float* const line = taps + 2 * taps_size;
    float* const ring = line + row_stride(width);
    const std::size_t ring_row = vectors(width) * cell_stride(shape);
    const int ring_size = ring_rows(shape, 1);

    for (int step = 0; step < height + 2 * blocks; ++step) {
        for (int i = 0; i <= blocks; ++i) {
            const int row = step - 2 * i;
            if (row < 0 || row >= height) continue;
            const Map m = map_at(i);
            if (row == 0) reflect_margins(row_of(m, 0), width);
            if (row + 1 < height) reflect_margins(row_of(m, row + 1), width);
            float* const z = ring + (row % ring_size) * ring_row;
            const Stage stage = stage_of(parameters, shape, i);
            if (i == 0 && i == blocks)
                forward_row(stage, shape, m, row, true, true, z, taps);
            else if (i == 0)
                forward_row(stage, shape, m, row, true, false, z, taps);
            else if (i < blocks)
                forward_row(stage, shape, m, row, false, false, z, taps);
            else
                forward_row(stage, shape, m, row, false, true, z, taps);
            if (i < blocks) {
                gather(map_at(i + 1), taps, row, -1.f, line);
            } else {
                gather(map_at(blocks + 1), taps, row, 1.f, line);
                gather(map_at(blocks + 2), taps + taps_size, row, 1.f, line);
            }
        }
    }

    for (int i = 1; i < blocks + 3; ++i) {
        float* const out = i <= blocks ? task.residuals : task.maps;
        if (!out) continue;
        const std::size_t index = i <= blocks ? i - 1 : i - blocks - 1;
        for (int r = 0; r < height; ++r) {
            const float* const row = row_of(map_at(i), r) - from;
            float* const out_row = out + index * shape.pixels() + std::size_t(r) * shape.width;
            for (int c = task.begin; c < task.end; ++c) out_row[c] = row[c];
        }
    }
}

// ---- Backward ----------------------------------------------------------------------------------

// Gradients of a stage's parameters, one vector of partial sums each.
constexpr int SUMS = 20;  // 9 analysis, 9 taps, bias, threshold

// Rows per step: enough pixels to make loading and storing the partial sums negligible.
INLINE int rows_a_step(const Shape& shape) {
    const int rows = (256 + shape.width - 1) / shape.width;
    return rows < shape.height ? rows : shape.height;
}

INLINE std::size_t backward_cell(const Shape& shape) {
    return (shape.stages() + 1) * cell_stride(shape);  // z_0..z_T, gradient
}

std::size_t backward_scratch(const Shape& shape) {
    const std::size_t stride = row_stride(shape.width), rows = rows_a_step(shape);
    const std::size_t maps = std::size_t(2 * shape.stages() + 2) * shape.height;
    return (maps + 2 * 9 * rows + 9 + 1) * stride +
           ring_rows(shape, int(rows)) * vectors(shape.width) * backward_cell(shape) +
           std::size_t(shape.stages()) * shape.channels() * SUMS * L + L;
}

INLINE void sum_analysis(const float* grad, const float* z, const float* before,
                         std::size_t cell, const float* const rows[3], int vecs, bool first,
                         Vec a[9], Vec& bias, Vec& threshold, Vec& lam) {
    for (int v = 0; v < vecs; ++v, grad += cell, z += cell, before += cell) {
        const Vec g = load(grad);
        Vec near[9];
        neighbours(rows, v * L, near);
#pragma GCC unroll 9
        for (int k = 0; k < 9; ++k) a[k] += g * near[k];
        bias += g;
        // g is zero wherever z is, so that the sign of zero does not matter.
        threshold -= (Vec)((Bits)g ^ ((Bits)load(z) & INT32_MIN));
        if (!first) lam += g * load(before);
    }
}

INLINE void sum_taps(const float* z, std::size_t cell, float* G, int width, int vecs, Vec s[9]) {
    for (int v = 0; v < vecs; ++v, z += cell) {
        const Vec zc = load(z);
#pragma GCC unroll 9
        for (int k = 0; k < 9; ++k) s[k] += zc * load(tap_row(G, k, width) + v * L);
    }
}

struct Rows {
    int begin, end;
};

// What the stages of one image share.
struct Pass {
    Shape shape;
    Parameters<const float> parameters;
    float* maps;     // m_0..m_T, their gradients, gradients of low-rank and sparse
    float* spreads;  // [rows per step][2][9] tap rows
    float* taps;     // [9] tap rows
    float* line;
    float* ring;
    float* sums;  // [stages][channels][SUMS][L]
    float* lam;   // [L]
    int ring_size;
    bool wants_parameters;
};

INLINE Map map_of(const Pass& p, int i) {
    const std::size_t stride = row_stride(p.shape.width);
    return {p.maps + i * p.shape.height * stride, stride, p.shape.height, p.shape.width};
}
INLINE Map residual(const Pass& p, int i) { return map_of(p, i); }
INLINE Map grad_residual(const Pass& p, int i) { return map_of(p, p.shape.stages() + i); }
INLINE Map grad_output(const Pass& p, int half) { return map_of(p, 2 * p.shape.stages() + half); }

INLINE float* cell_of(const Pass& p, int row, int vector) {
    const std::size_t index = std::size_t(row % p.ring_size) * vectors(p.shape.width) + vector;
    return p.ring + index * backward_cell(p.shape);
}

INLINE float* spread_of(const Pass& p, int row, int half) {
    return p.spreads + std::size_t(row * 2 + half) * 9 * row_stride(p.shape.width);
}

// z_0..z_T of a row from m_0..m_T.
void recompute_row(const Pass& p, int row) {
    const std::size_t plane = cell_stride(p.shape);
    const int channels = p.shape.channels();
    for (int i = 0; i < p.shape.stages(); ++i) {
        const Stage stage = stage_of(p.parameters, p.shape, i);
        const float* rows[3];
        neighbour_rows(residual(p, i), row, rows);
        for (int v = 0; v < vectors(p.shape.width); ++v) {
            float* const z = cell_of(p, row, v) + i * plane;
            Vec near[9];
            neighbours(rows, v * L, near);
            if (i == 0)
                analyse(stage, near, channels, true, z, z);
            else
                analyse(stage, near, channels, false, z - plane, z);
        }
    }
}

// Gradients of a row's coefficients at stage i, and what they add to the gradient of m_i.
INLINE void backward_row(const Pass& p, int i, int row, int slot, bool last) {
    const Stage stage = stage_of(p.parameters, p.shape, i);
    const int width = p.shape.width;
    const int halves = last ? 2 : 1, channels = p.shape.channels() / halves;
    for (int half = 0; half < halves; ++half) {
        if (last)
            spread(grad_output(p, half), spread_of(p, slot, half), row, 1.f, p.line);
        else
            spread(grad_residual(p, i + 1), spread_of(p, slot, half), row, -1.f, p.line);
    }
    for (int v = 0; v < vectors(width); ++v) {
        float* const cell = cell_of(p, row, v);
        float* const grad = cell + p.shape.stages() * cell_stride(p.shape);
        for (int half = 0; half < halves; ++half) {
            Vec G[9];
            for (int k = 0; k < 9; ++k)
                G[k] = load(tap_row(spread_of(p, slot, half), k, width) + v * L);
            differentiate(stage, G, half * channels, (half + 1) * channels, last,
                          cell + i * cell_stride(p.shape), grad);
        }
        take_taps(stage.analysis, grad, p.shape.channels(), p.taps, v * L, width);
    }
    scatter(grad_residual(p, i), p.taps, row, p.line);
}

// What some rows add to the gradients of stage i's parameters.
INLINE void sum_rows(const Pass& p, int i, Rows rows, bool first) {
    const std::size_t plane = cell_stride(p.shape), cell = backward_cell(p.shape);
    const int width = p.shape.width, vecs = vectors(width), channels = p.shape.channels();
    Vec lam = load(p.lam);
    for (int c = 0; c < channels; ++c) {
        float* const sums = p.sums + (std::size_t(i) * channels + c) * SUMS * L;
        const int half = i == p.shape.blocks && c >= p.shape.filters ? 1 : 0;
        Vec a[9], s[9];
        for (int k = 0; k < 9; ++k) a[k] = load(sums + k * L);
        Vec bias = load(sums + 18 * L), threshold = load(sums + 19 * L);
        for (int row = rows.begin; row < rows.end; ++row) {
            const float* near[3];
            neighbour_rows(residual(p, i), row, near);
            const float* const z = cell_of(p, row, 0) + i * plane + c * L;
            const float* const grad = cell_of(p, row, 0) + p.shape.stages() * plane + c * L;
            sum_analysis(grad, z, first ? z : z - plane, cell, near, vecs, first, a,
                         bias, threshold, lam);
        }
        for (int k = 0; k < 9; ++k) store(sums + k * L, a[k]);
        store(sums + 18 * L, bias);
        store(sums + 19 * L, threshold);
        for (int k = 0; k < 9; ++k) s[k] = load(sums + (9 + k) * L);
        for (int row = rows.begin; row < rows.end; ++row)
            sum_taps(cell_of(p, row, 0) + i * plane + c * L, cell,
                     spread_of(p, row - rows.begin, half), width, vecs, s);
        for (int k = 0; k < 9; ++k) store(sums + (9 + k) * L, s[k]);
    }
    store(p.lam, lam);
}

void backward_rows(const Pass& p, int i, Rows rows) {
    for (int row = rows.begin; row < rows.end; ++row) {
        if (i == p.shape.blocks)
            backward_row(p, i, row, row - rows.begin, true);
        else
            backward_row(p, i, row, row - rows.begin, false);
    }
    if (!p.wants_parameters) return;
    if (i == 0)
        sum_rows(p, i, rows, true);
    else
        sum_rows(p, i, rows, false);
}

INLINE float total(const float* partial) {
    double value = 0;
    for (int lane = 0; lane < L; ++lane) value += partial[lane];
    return float(value);
}

void write_parameters(const Pass& p, float* packed) {
    const Parameters<float> out(packed, p.shape);
    const int channels = p.shape.channels(), stages = p.shape.stages();
    for (int c = 0; c < channels; ++c) out.threshold[c] = 0;
    for (int i = 0; i < stages; ++i) {
        for (int c = 0; c < channels; ++c) {
            const std::size_t index = std::size_t(i) * channels + c;
            const float* const sums = p.sums + index * SUMS * L;
            for (int k = 0; k < 9; ++k) {
                out.analysis[9 * index + k] = total(sums + k * L);
                out.taps[9 * index + k] = total(sums + (9 + k) * L);
            }
            out.analysis_bias[index] = total(sums + 18 * L);
            out.threshold[c] += total(sums + 19 * L);
        }
    }
    for (int i = 0; i < p.shape.blocks; ++i)
        out.taps_bias[i] = float(-sum(grad_residual(p, i + 1)));
    for (int half = 0; half < 2; ++half)
        out.taps_bias[p.shape.blocks + half] = float(sum(grad_output(p, half)));
    *out.lam = total(p.lam);
}

INLINE void copy_in(const Map& map, const float* image) {
    for (int r = 0; r < map.height; ++r)
        add_row(row_of(map, r), image + std::size_t(r) * map.width, 1.f, map.width);
}

void backward(const Shape& shape, const Backward& task, float* scratch) {
    for (std::size_t i = 0, n = backward_scratch(shape); i < n; ++i) scratch[i] = 0;
    const std::size_t stride = row_stride(shape.width);
    const int stages = shape.stages(), step_rows = rows_a_step(shape);
    const int ring_size = ring_rows(shape, step_rows);
    float* const spreads = scratch + std::size_t(2 * stages + 2) * shape.height * stride;
    float* const taps = spreads + std::size_t(2) * 9 * step_rows * stride;
    float* const line = taps + 9 * stride;
    float* const ring = line + stride;
    float* const sums = ring + ring_size * vectors(shape.width) * backward_cell(shape);
    float* const lam = sums + std::size_t(stages) * shape.channels() * SUMS * L;
    const Pass p = {shape, Parameters<const float>(task.packed, shape),
                    scratch, spreads, taps, line, ring, sums, lam, ring_size,
                    task.grad_packed != nullptr};

    for (int i = 0; i < stages; ++i) {
        const Map m = residual(p, i);
        copy_in(m, i == 0 ? task.x : task.residuals + (i - 1) * shape.pixels());
        for (int r = 0; r < shape.height; ++r) reflect_margins(row_of(m, r), shape.width);
    }
    for (int half = 0; half < 2; ++half)
        copy_in(grad_output(p, half), task.grad_maps + half * shape.pixels());

    for (int step = 0; step < shape.height + 2 * shape.blocks; step += step_rows) {
        for (int i = shape.blocks; i >= 0; --i) {
            Rows rows = {step - 2 * (shape.blocks - i), step - 2 * (shape.blocks - i) + step_rows};
            if (rows.begin < 0) rows.begin = 0;
            if (rows.end > shape.height) rows.end = shape.height;
            if (i == shape.blocks)
                for (int row = rows.begin; row < rows.end; ++row) recompute_row(p, row);
            if (rows.begin < rows.end) backward_rows(p, i, rows);
        }
    }

    for (int r = 0; r < shape.height; ++r) {
        float* const out = task.grad_x + std::size_t(r) * shape.width;
        fill(out, 0, shape.width, 0.f);
        for (int i = 0; i < stages; ++i)
            add_row(out, row_of(grad_residual(p, i), r), 1.f, shape.width);
    }
    if (p.wants_parameters) write_parameters(p, task.grad_packed);
}

double multiply_add(int rounds) {
    constexpr int CHAINS = 12;  // enough to hide the latency, few enough for 16 registers
    Vec sums[CHAINS];
    for (int k = 0; k < CHAINS; ++k) sums[k] = Vec{} + float(k);
    const Vec factor = Vec{} + .999f, term = Vec{} + .001f;
    for (int round = 0; round < rounds; ++round)
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; ++k) sums[k] = sums[k] * factor + term;
    volatile float kept;  // prevents the compiler from removing the loop
    for (int k = 0; k < CHAINS; ++k) kept = sums[k][0];
    (void)kept;
    return 2. * CHAINS * L * rounds;
}

}  // namespace

extern const Kernel RGBT_KERNEL = {forward_scratch, forward, backward_scratch, backward,
                                   multiply_add};

}  // namespace rgbt
