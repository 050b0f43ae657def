#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/e4m3.cuh"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/stage.cuh"
#include "kernels/cuda/vector.cuh"

/*
 * A block of warps has a tile of y. It walks k in steps of DEPTH: while the tensor cores multiply one step's
 * parts of x and w, the copies of the next STAGES - 1 steps are under way (cp.async), each step in its own
 * stage of shared memory. One barrier a step: behind it the oldest stage's bytes are there for all, and the
 * stage that the step before read may be filled again.
 *
 * Order of the sum: steps of 16 k, each by one mma.sync onto the float32 before. Neither the tile's size nor
 * the row's place in it changes the sum. Rows and columns beyond the matrix are zeros, and nobody stores
 * their results. So a row's bits depend on the row and the weight alone.
 *
 * Blocks walk the tiles in bands of BAND tiles of rows, all columns of a band before the next: what is in
 * flight at one time shares its rows and columns in the second-level cache.
 *
 * E4M3: q and w are widened to bf16, which holds every e4m3 exactly, on their way into shared memory. The
 * scales are applied at the end. This is the path for GPUs without fp8 and for shapes that the library
 * refuses: it saves memory, not time.
 */
using namespace stage;

enum { STAGES = 4, BAND = 8 };

/* ROWS x COLUMNS of y by WARP_ROWS x WARP_COLUMNS warps. */
template <int ROWS_, int COLUMNS_, int WARP_ROWS_, int WARP_COLUMNS_> struct shape {
    static const int ROWS = ROWS_, COLUMNS = COLUMNS_, WARP_ROWS = WARP_ROWS_, WARP_COLUMNS = WARP_COLUMNS_;
    static const int THREADS = WARP_ROWS * WARP_COLUMNS * LANES;
    static const int M = ROWS / WARP_ROWS / 16, N = COLUMNS / WARP_COLUMNS / 8; /* mma tiles of a warp */
    static const int STAGE_BYTES = (ROWS + COLUMNS) * DEPTH * 2;
};
typedef shape<128, 128, 2, 4> wide;
typedef shape<64, 64, 2, 2> narrow;

/* The kernel's arguments. */
struct arguments {
    const void *x, *w;
    int64_t ld_x, ld_w, ld_y;
    int rows, n_out, n_in;
    const float *x_scale, *w_scale, *bias;
    enum activation activation;
    void *y;
    bool pairs; /* two neighbouring elements of y may be stored at once */
};

/* Ways to bring 8 elements of a row, from column k on, into 16 bytes of shared memory as bf16; zeros after n
 * and for rows that are not `there`. */

/* bf16 rows that begin on 16 bytes. */
struct by_chunk {
    typedef __nv_bfloat16 type;
    __device__ static inline void load(unsigned char *to, const type *row, int k, int n, bool there)
    {
        int left = there ? (n - k) * 2 : 0;
        int bytes = left < 0 ? 0 : left < 16 ? left : 16;
        copy_async_16(to, bytes > 0 ? row + k : row, bytes);
    }
};

/* bf16 rows that begin anywhere. */
struct by_element {
    typedef __nv_bfloat16 type;
    __device__ static inline void load(unsigned char *to, const type *row, int k, int n, bool there)
    {
        const uint16_t *from = (const uint16_t *)row;
        uint32_t word[4];
        for (int i = 0; i < 4; i++) {
            uint32_t low = there && k + 2 * i < n ? from[k + 2 * i] : 0;
            uint32_t high = there && k + 2 * i + 1 < n ? from[k + 2 * i + 1] : 0;
            word[i] = low | high << 16;
        }
        *(uint4 *)to = make_uint4(word[0], word[1], word[2], word[3]);
    }
};

/* e4m3 rows that begin on 16 bytes and are zeros from n to the next multiple of 16. */
struct widening {
    typedef unsigned char type;
    __device__ static inline uint32_t pair(uint32_t bytes)
    {
        return e4m3_to_bf16(bytes & 0xFFu) | e4m3_to_bf16(bytes >> 8 & 0xFFu) << 16;
    }
    __device__ static inline void load(unsigned char *to, const type *row, int k, int n, bool there)
    {
        uint2 q = there && k < n ? *(const uint2 *)(row + k) : make_uint2(0, 0);
        *(uint4 *)to = make_uint4(pair(q.x), pair(q.x >> 16), pair(q.y), pair(q.y >> 16));
    }
};

/* Brings N rows of one step into a stage. */
template <class How, int N, int THREADS>
__device__ inline void load_rows(unsigned char *tile, const void *matrix, int64_t ld, int first, int n_rows,
                                 int k, int n)
{
    static_assert(N * CHUNKS % THREADS == 0, "as many copies for every thread: the loop has no end to test");
    const typename How::type *base = (const typename How::type *)matrix;
#pragma unroll
    for (int turn = 0; turn < N * CHUNKS / THREADS; turn++) {
        int i = threadIdx.x + turn * THREADS, row = i / CHUNKS, chunk = i % CHUNKS;
        bool there = first + row < n_rows;
        How::load(chunk_at(tile, row, chunk), base + (there ? first + row : 0) * ld, k + chunk * 8, n, there);
    }
}

template <class Shape, class HowX, class HowW>
__device__ inline void load_step(unsigned char *stage, const struct arguments &a, int first_row,
                                 int first_column, int k)
{
    load_rows<HowX, Shape::ROWS, Shape::THREADS>(stage, a.x, a.ld_x, first_row, a.rows, k, a.n_in);
    load_rows<HowW, Shape::COLUMNS, Shape::THREADS>(stage + Shape::ROWS * DEPTH * 2, a.w, a.ld_w,
                                                    first_column, a.n_out, k, a.n_in);
}

__device__ inline void store_pair(float *y, float a, float b, bool two, bool together)
{
    if (two && together) {
        *(float2 *)y = make_float2(a, b);
        return;
    }
    y[0] = a;
    if (two)
        y[1] = b;
}

__device__ inline void store_pair(__nv_bfloat16 *y, float a, float b, bool two, bool together)
{
    if (two && together) {
        *(__nv_bfloat162 *)y = __floats2bfloat162_rn(a, b);
        return;
    }
    y[0] = __float2bfloat16_rn(a);
    if (two)
        y[1] = __float2bfloat16_rn(b);
}

__device__ inline float finish(const struct arguments &a, float sum, float x_scale, int column)
{
    if (a.w_scale != NULL)
        sum *= x_scale * a.w_scale[column];
    if (a.bias != NULL)
        sum += a.bias[column];
    return activate_fast(a.activation, sum);
}

/* Applies scales, bias and activation to a warp's registers, and stores them in y. */
template <class Shape, class Out>
__device__ inline void store_tile(const struct arguments &a, int first_row, int first_column,
                                  float (&sum)[Shape::M][Shape::N][4])
{
    int lane = threadIdx.x % LANES;
#pragma unroll
    for (int m = 0; m < Shape::M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = first_row + m * 16 + half * 8 + lane / 4;
            if (row >= a.rows)
                continue;
            float x_scale = a.x_scale != NULL ? a.x_scale[row] : 1.0f;
            Out *y = (Out *)a.y + row * a.ld_y;
#pragma unroll
            for (int n = 0; n < Shape::N; n++) {
                int column = first_column + n * 8 + lane % 4 * 2;
                bool two = column + 1 < a.n_out;
                if (column >= a.n_out)
                    continue;
                float low = finish(a, sum[m][n][half * 2], x_scale, column);
                float high = two ? finish(a, sum[m][n][half * 2 + 1], x_scale, column + 1) : 0.0f;
                store_pair(y + column, low, high, two, a.pairs);
            }
        }
}

/* Which tile of y this block has. */
template <class Shape>
__device__ inline void find_tile(const struct arguments &a, int *row_tile, int *column_tile)
{
    int n_rows = (a.rows + Shape::ROWS - 1) / Shape::ROWS,
        n_columns = (a.n_out + Shape::COLUMNS - 1) / Shape::COLUMNS;
    int band = blockIdx.x / (BAND * n_columns), inside = blockIdx.x % (BAND * n_columns);
    int height = n_rows - band * BAND < BAND ? n_rows - band * BAND : BAND;
    *row_tile = band * BAND + inside % height;
    *column_tile = inside / height;
}

template <class Shape, class HowX, class HowW, class Out>
__global__ void __launch_bounds__(Shape::THREADS, 2) tensor_product(struct arguments a)
{
    unsigned char *stages = shared_memory();
    int row_tile, column_tile, warp = threadIdx.x / LANES, n_steps = (a.n_in + DEPTH - 1) / DEPTH;
    find_tile<Shape>(a, &row_tile, &column_tile);
    int first_row = row_tile * Shape::ROWS, first_column = column_tile * Shape::COLUMNS;
    int warp_row = warp / Shape::WARP_COLUMNS * (Shape::M * 16),
        warp_column = warp % Shape::WARP_COLUMNS * (Shape::N * 8);
    float sum[Shape::M][Shape::N][4] = {};
    for (int step = 0; step < STAGES - 1; step++) {
        if (step < n_steps)
            load_step<Shape, HowX, HowW>(stages + step * Shape::STAGE_BYTES, a, first_row, first_column,
                                         step * DEPTH);
        copy_async_commit();
    }
    for (int step = 0; step < n_steps; step++) {
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        int ahead = step + STAGES - 1;
        if (ahead < n_steps)
            load_step<Shape, HowX, HowW>(stages + ahead % STAGES * Shape::STAGE_BYTES, a, first_row,
                                         first_column, ahead * DEPTH);
        copy_async_commit();
        multiply_step<Shape>(stages + step % STAGES * Shape::STAGE_BYTES, warp_row, warp_column, sum);
    }
    store_tile<Shape, Out>(a, first_row + warp_row, first_column + warp_column, sum);
}

template <class Shape, class HowX, class HowW>
static cudaError_t launch_out(struct device *device, const struct arguments *a, enum dtype y_type)
{
    int64_t tiles = (int64_t)divide_up(a->rows, Shape::ROWS) * divide_up(a->n_out, Shape::COLUMNS);
    dim3 grid((unsigned)tiles), block(Shape::THREADS);
    size_t shared_bytes = STAGES * Shape::STAGE_BYTES;
    if (y_type == DTYPE_F32)
        return launch(tensor_product<Shape, HowX, HowW, float>, grid, block, shared_bytes, device->stream,
                      *a);
    return launch(tensor_product<Shape, HowX, HowW, __nv_bfloat16>, grid, block, shared_bytes, device->stream,
                  *a);
}

template <class Shape>
static cudaError_t launch_shape(struct device *device, const struct arguments *a, enum dtype y_type)
{
    if (a->w_scale != NULL)
        return launch_out<Shape, widening, widening>(device, a, y_type);
    if ((uintptr_t)a->x % 16 == 0 && a->ld_x % 8 == 0)
        return launch_out<Shape, by_chunk, by_chunk>(device, a, y_type);
    return launch_out<Shape, by_element, by_chunk>(device, a, y_type);
}

extern "C" int matmul_tile_columns(int n_out, int n_in)
{
    (void)n_in;
    return n_out >= 12 * wide::COLUMNS ? wide::COLUMNS : narrow::COLUMNS;
}

extern "C" void matmul_tensor(struct device *device, const struct tile_product *product)
{
    const struct matmul *op = product->op;
    const struct weight *weight = op->weight;
    struct arguments a = {};
    a.x = product->x, a.ld_x = product->ld_x, a.x_scale = product->x_scale;
    a.w = weight->data, a.ld_w = weight->ld, a.w_scale = weight->scale;
    a.rows = op->rows, a.n_out = weight->n_out, a.n_in = weight->n_in;
    a.bias = op->bias, a.activation = op->activation, a.y = op->y, a.ld_y = op->ld_y;
    a.pairs = op->ld_y % 2 == 0 && (uintptr_t)op->y % (op->y_type == DTYPE_F32 ? 8 : 4) == 0;
    device_check(device,
                 weight->tile_columns == wide::COLUMNS ? launch_shape<wide>(device, &a, op->y_type)
                                                       : launch_shape<narrow>(device, &a, op->y_type),
                 "matmul");
}
