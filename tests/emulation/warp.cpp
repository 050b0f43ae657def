#include "tests/emulation/warp.h"

#include "tests/emulation/state.h"

namespace emulation
{
/* The lane that `lane` reads; itself where the segment ends (PTX ISA, shfl.sync). */
static int shuffle_source(const shuffle_operands &own, int lane)
{
    int first = lane / own.width * own.width, end = first + own.width, from = 0;
    switch (own.kind) {
    case shuffle_kind::index:
        return first + ((own.argument % own.width) + own.width) % own.width;
    case shuffle_kind::up:
        from = lane - own.argument;
        return from < first ? lane : from;
    case shuffle_kind::down:
        from = lane + own.argument;
        return from >= end ? lane : from;
    case shuffle_kind::exclusive:
        from = lane ^ own.argument;
        return from >= end ? lane : from;
    }
    return lane;
}

void shuffle(void *const operands[warp_size], unsigned mask)
{
    for (unsigned left = mask; left != 0; left &= left - 1) {
        int lane = __builtin_ctz(left);
        shuffle_operands &own = *(shuffle_operands *)operands[lane];
        int from = shuffle_source(own, lane);
        if ((mask >> from & 1) == 0)
            fault("lane %d shuffles from lane %d, which is not in the mask %08x", lane, from, mask);
        own.result = ((const shuffle_operands *)operands[from])->value;
    }
}

void vote(void *const operands[warp_size], unsigned mask)
{
    unsigned result = 0;
    for (unsigned left = mask; left != 0; left &= left - 1)
        if (((vote_operands *)operands[__builtin_ctz(left)])->predicate)
            result |= left & -left;
    for (unsigned left = mask; left != 0; left &= left - 1)
        ((vote_operands *)operands[__builtin_ctz(left)])->result = result;
}

void match_any(void *const operands[warp_size], unsigned mask)
{
    for (unsigned left = mask; left != 0; left &= left - 1) {
        match_operands &own = *(match_operands *)operands[__builtin_ctz(left)];
        own.result = 0;
        for (unsigned others = mask; others != 0; others &= others - 1)
            if (((match_operands *)operands[__builtin_ctz(others)])->value == own.value)
                own.result |= others & -others;
    }
}

void nothing(void *const[warp_size], unsigned)
{
}

/* Eight rows of 16 bytes are read at once without a conflict when they lie in different eighths of the 128
 * bytes that the banks serve. */
static void count_conflicts(void *const operands[warp_size], int matrix)
{
    unsigned eighths = 0;
    for (int row = 0; row < 8; row++)
        eighths |= 1u << ((uintptr_t)((matrix_load *)operands[matrix * 8 + row])->row / 16 % 8);
    counters.matrix_loads++;
    counters.matrix_load_conflicts += eighths != 0xff;
}

void load_matrices(void *const operands[warp_size], unsigned)
{
    for (int lane = 0; lane < warp_size; lane++)
        check_shared(((matrix_load *)operands[lane])->row, 16, "ldmatrix");
    for (int matrix = 0; matrix < 4; matrix++) {
        count_conflicts(operands, matrix);
        uint16_t values[8][8];
        for (int row = 0; row < 8; row++)
            memcpy(values[row], ((matrix_load *)operands[matrix * 8 + row])->row, 16);
        for (int lane = 0; lane < warp_size; lane++) {
            const matrix_load &own = *(matrix_load *)operands[lane];
            int row = lane / 4, column = lane % 4 * 2;
            uint32_t low = own.transposed ? values[column][row] : values[row][column];
            uint32_t high = own.transposed ? values[column + 1][row] : values[row][column + 1];
            own.result[matrix] = low | high << 16;
        }
    }
}

/* Element `half` of a pair of bf16. */
static float widen(uint32_t pair, int half)
{
    uint32_t bits = half == 0 ? pair << 16 : pair & 0xffff0000u;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void multiply_bf16(void *const operands[warp_size], unsigned)
{
    float a[16][16], b[16][8], c[16][8];
    for (int lane = 0; lane < warp_size; lane++) {
        const product_operands &own = *(product_operands *)operands[lane];
        int row = lane / 4, column = lane % 4 * 2;
        for (int i = 0; i < 2; i++) {
            for (int part = 0; part < 4; part++)
                a[row + part % 2 * 8][column + part / 2 * 8 + i] = widen(own.a[part], i);
            for (int part = 0; part < 2; part++)
                b[column + part * 8 + i][row] = widen(own.b[part], i);
            c[row][column + i] = own.c[i];
            c[row + 8][column + i] = own.c[2 + i];
        }
    }
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < 8; j++)
                c[i][j] += a[i][k] * b[k][j];
    for (int lane = 0; lane < warp_size; lane++) {
        float *own = ((product_operands *)operands[lane])->c;
        for (int i = 0; i < 4; i++)
            own[i] = c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    }
    counters.products++;
}
} // namespace emulation
