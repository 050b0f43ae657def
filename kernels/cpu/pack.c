#include "kernels/cpu/pack.h"

void ISA(pack)(const float *x, int64_t ld_x, int rows, int n, float *packed, int width)
{
    enum { BLOCK = 16 };
    for (int start = 0; start < n; start += BLOCK) {
        int end = start + BLOCK < n ? start + BLOCK : n;
        for (int r = 0; r < width; r++)
            for (int k = start; k < end; k++)
                packed[(int64_t)k * width + r] = r < rows ? x[r * ld_x + k] : 0;
    }
}
