#ifndef MILLRACE_TESTS_EMULATION_VECTORS_H
#define MILLRACE_TESTS_EMULATION_VECTORS_H

/* The short vectors of CUDA C++, with its sizes and alignments. */
struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z)
    {
    }
};

#define EMULATION_VECTORS(type, name)                                     \
    struct alignas(2 * sizeof(type)) name##2                              \
    {                                                                     \
        type x, y;                                                        \
    };                                                                    \
    struct alignas(4 * sizeof(type) < 16 ? 4 * sizeof(type) : 16) name##4 \
    {                                                                     \
        type x, y, z, w;                                                  \
    };                                                                    \
    inline name##2 make_##name##2(type x, type y)                         \
    {                                                                     \
        return {x, y};                                                    \
    }                                                                     \
    inline name##4 make_##name##4(type x, type y, type z, type w)         \
    {                                                                     \
        return {x, y, z, w};                                              \
    }

EMULATION_VECTORS(float, float)
EMULATION_VECTORS(int, int)
EMULATION_VECTORS(unsigned, uint)
EMULATION_VECTORS(unsigned short, ushort)
EMULATION_VECTORS(unsigned char, uchar)
EMULATION_VECTORS(double, double)
#undef EMULATION_VECTORS

#endif
