#ifndef MILLRACE_KERNELS_CPU_ISA_H
#define MILLRACE_KERNELS_CPU_ISA_H

#include <stdint.h>

/*
 * The arithmetic is compiled once for each instruction set, from the same sources: the build defines
 * MILLRACE_ISA as generic, avx2, avx512 or amx, and ISA(name) gives each copy its own name: name_avx512.
 * device.c chooses one copy when the device is opened. With MILLRACE_TILES bfloat16 goes through the tile
 * unit (tile_amx.c). The copy called tiles is for tests: its tile unit is plain C (tile_unit.h).
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
#if defined(MILLRACE_TILES)
enum { TILE_ROWS = 4, TILE_PANELS = 2 };
#else
enum { TILE_ROWS = 4, TILE_PANELS = 1 };
#endif
#endif

/* In bfloat16 the tile unit takes two tiles of 16 rows, and reads the words as they are. */
#if defined(MILLRACE_TILES)
enum { BF16_ROWS = 32 };
typedef uint16_t bf16_cell;
#else
enum { BF16_ROWS = TILE_ROWS / 2 };
typedef float bf16_cell;
#endif
enum {
    STRIP_ROWS = (int)BF16_ROWS > (int)TILE_ROWS ? (int)BF16_ROWS : (int)TILE_ROWS
}; /* the most of any strip */
#if defined(__AVX512F__)
enum { I8_ROWS = 6 };
#else
enum { I8_ROWS = 3 };
#endif

enum { TILE_ROWS_MAX = 14, TILE_PANELS_MAX = 2 }; /* of all copies: what scratch is sized by */

#endif
