#ifndef MILLRACE_KERNELS_CPU_ISA_H
#define MILLRACE_KERNELS_CPU_ISA_H

/*
 * The arithmetic is compiled once for each instruction set, from the same sources: the build defines
 * MILLRACE_ISA as generic, avx2 or avx512, and ISA(name) gives each copy its own name: name_avx512.
 * device.c chooses one copy when the device is opened.
 *
 * TILE_ROWS x TILE_PANELS is the largest block of results that a copy keeps in registers (tile.h). In
 * bfloat16 every result is two sums, so a block has half the rows (tile_bf16.h); in int8 it is some sums more
 * (tile_i8.h).
 */
#define ISA_JOIN(name, isa) name##_##isa
#define ISA_EXPAND(name, isa) ISA_JOIN(name, isa)
#define ISA(name) ISA_EXPAND(name, MILLRACE_ISA)
#define ISA_TEXT(isa) #isa
#define ISA_TEXT_OF(isa) ISA_TEXT(isa)
#define ISA_NAME ISA_TEXT_OF(MILLRACE_ISA)

enum { LANES = 16 }; /* of every vector, on every machine */

#if defined(__AVX512F__)
enum { TILE_ROWS = 14, TILE_PANELS = 2 }; /* 28 sums of 32 registers */
#elif defined(__AVX2__)
enum { TILE_ROWS = 6, TILE_PANELS = 1 }; /* 12 sums of 16 registers */
#else
enum { TILE_ROWS = 4, TILE_PANELS = 1 };
#endif
enum { BF16_ROWS = TILE_ROWS / 2 };
#if defined(__AVX512F__)
enum { I8_ROWS = 6 };
#else
enum { I8_ROWS = 3 };
#endif

enum { TILE_ROWS_MAX = 14, TILE_PANELS_MAX = 2 }; /* of all copies: what scratch is sized by */

#endif
