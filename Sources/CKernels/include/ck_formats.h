/* Stored weight formats: what the bytes of the planes mean. Encoder, reference decoder and
 * kernels take their constants from here.
 *
 * q8  row_scale F32 [rows]; block_scale U8 [rows, C/32]; codes I8 [rows, C]
 *     value = row_scale * block_scale * code, code in -127..127
 * q4  row_scale F32 [rows]; block_scale U8 [rows, C/16]; codes U8 [rows, C/2]
 *     byte b of block_scale: l = (b & 254) - 127, grid = b & 1
 *     value = row_scale * l * grid[code]; column 2j is the low nibble of byte j, 2j+1 the high
 * C is the number of columns padded up to a multiple of 32; codes of the padding are 8 in q4 and
 * 0 in q8, and activations there are zero. */
#ifndef CK_FORMATS_H
#define CK_FORMATS_H

#include <stddef.h>
#include <stdint.h>

enum {
  CK_COLUMN_MULTIPLE = 32,
  CK_Q8_BLOCK = 32,
  CK_Q4_BLOCK = 16,
  CK_Q4_GRID_SIZE = 16,
  /* Block scales of q4 are odd numbers from -127 to 127. */
  CK_Q4_SCALE_BIAS = 127
};

/* The two non-linear grids; a negative block scale mirrors them. All values are even and the
 * second grid is the first plus 6, so that kernels can look up halves, which fit in 7 bits, in one
 * table: a pair of products of 7 and 8 bits fits in 16. The values were fitted to normal,
 * heavy-tailed and trained weights. */
#define CK_Q4_HALVES(value)                                                                  \
  {value(-58), value(-49), value(-38), value(-29), value(-22), value(-16), value(-10),       \
   value(-4),  value(1),   value(6),   value(11),  value(17),  value(24),  value(31),        \
   value(40),  value(58)}
#define CK_Q4_HALF_SHIFT 3
#define CK_Q4_VALUE_0(half) 2 * (half)
#define CK_Q4_VALUE_1(half) 2 * (half + CK_Q4_HALF_SHIFT)
#define CK_Q4_GRID_0 CK_Q4_HALVES(CK_Q4_VALUE_0)
#define CK_Q4_GRID_1 CK_Q4_HALVES(CK_Q4_VALUE_1)

/* Columns of the stored form. */
static inline size_t ck_padded_columns(size_t columns) {
  return (columns + CK_COLUMN_MULTIPLE - 1) / CK_COLUMN_MULTIPLE * CK_COLUMN_MULTIPLE;
}

/* One grid value; `grid` is 0 or 1 and `code` 0 to 15. */
static inline int32_t ck_q4_grid_value(uint32_t grid, uint32_t code) {
  static const int8_t grids[2][CK_Q4_GRID_SIZE] = {CK_Q4_GRID_0, CK_Q4_GRID_1};
  return grids[grid & 1][code & 15];
}

/* The signed block scale in a byte of block_scale. */
static inline int32_t ck_q4_block_scale(uint8_t byte) {
  return (int32_t)(byte & 254) - CK_Q4_SCALE_BIAS;
}

#endif
