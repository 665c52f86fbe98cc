/* Blocks of a few rows side by side: lane b of every vector belongs to block b, so that all
 * arithmetic runs across blocks and the sums of one block keep a fixed order. */
#ifndef CK_QUANTIZE_TILE_H
#define CK_QUANTIZE_TILE_H

#include <string.h>

#include "ck_formats.h"

#pragma STDC FP_CONTRACT OFF
/* How wide vectors are passed does not matter: every function here is inlined. */
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 32, BLOCK = CK_Q4_BLOCK, GROUP_ROWS = 64 };

typedef float lanes_f32 __attribute__((vector_size(4 * LANES)));
typedef int32_t lanes_i32 __attribute__((vector_size(4 * LANES)));
typedef int16_t lanes_i16 __attribute__((vector_size(2 * LANES)));
typedef int8_t lanes_i8 __attribute__((vector_size(LANES)));

/* a where the mask is all ones, b where it is zero. */
INLINE lanes_i32 choose_int(lanes_i32 mask, lanes_i32 a, lanes_i32 b) {
  return (a & mask) | (b & ~mask);
}

INLINE lanes_f32 choose(lanes_i32 mask, lanes_f32 a, lanes_f32 b) {
  return (lanes_f32)choose_int(mask, (lanes_i32)a, (lanes_i32)b);
}

INLINE lanes_f32 magnitudes(lanes_f32 x) { return (lanes_f32)((lanes_i32)x & 0x7fffffff); }

/* Whole numbers nearest to x, ties to even, for |x| below 2^22. */
INLINE lanes_i32 nearest_whole(lanes_f32 x) {
  return (lanes_i32)(x + 12582912.0f) - 0x4b400000; /* 1.5 * 2^23 and its bits */
}

/* Rows that are encoded together: their blocks follow one another. */
typedef struct {
  const float *x;
  size_t rows, columns;
  size_t blocks;             /* of one row */
  float factor[GROUP_ROWS];  /* powers of two that bring each row's largest weight near 1 */
  float scale[GROUP_ROWS];   /* row scales, of the weights times `factor` */
} row_group;

/* Up to 32 blocks of a group. */
typedef struct {
  lanes_f32 x[BLOCK];
  /* How much an element's error counts: 2 s^2 + x^2, with s^2 the mean square of the block;
   * nothing for padding. */
  lanes_f32 weight[BLOCK];
} tile;

/* The bits of 2^exponent, for exponents from -126 to 127. */
INLINE float power_of_two(int32_t exponent) {
  uint32_t bits = (uint32_t)(exponent + 127) << 23;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

/* 2^-e where 2^e is at most the largest magnitude of the row. */
INLINE float row_factor(const float *x, size_t columns) {
  uint32_t most = 0;
  for (size_t i = 0; i < columns; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  int32_t exponent = (int32_t)(most >> 23) - 127;
  exponent = exponent < -126 ? -126 : exponent > 126 ? 126 : exponent;
  return power_of_two(-exponent);
}

typedef float four_f32 __attribute__((vector_size(16)));

/* Turns blocks side by side into lanes: to[i][lane] = from[lane][i]. */
INLINE void transpose(float from[LANES][BLOCK], float to[BLOCK][LANES]) {
  for (size_t lane = 0; lane < LANES; lane += 4)
    for (size_t i = 0; i < BLOCK; i += 4) {
      four_f32 a, b, c, d;
      memcpy(&a, &from[lane][i], sizeof a);
      memcpy(&b, &from[lane + 1][i], sizeof b);
      memcpy(&c, &from[lane + 2][i], sizeof c);
      memcpy(&d, &from[lane + 3][i], sizeof d);
      four_f32 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      four_f32 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      four_f32 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      four_f32 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
      b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
      c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
      d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
      memcpy(&to[i][lane], &a, sizeof a);
      memcpy(&to[i + 1][lane], &b, sizeof b);
      memcpy(&to[i + 2][lane], &c, sizeof c);
      memcpy(&to[i + 3][lane], &d, sizeof d);
    }
}

/* Blocks from `first` on; what lies beyond a row's end or the group's is zero. */
INLINE void load_tile(const row_group *group, size_t first, tile *t) {
  float blocks[LANES][BLOCK] __attribute__((aligned(64)));
  float factors[LANES] __attribute__((aligned(64)));
  size_t counts[LANES];
  size_t row = first / group->blocks, start = first % group->blocks * BLOCK;
  for (size_t lane = 0; lane < LANES; lane++) {
    size_t count = row < group->rows && start < group->columns ? group->columns - start : 0;
    const float *from = group->x + row * group->columns + start;
    if (count >= BLOCK) {
      count = BLOCK;
      memcpy(blocks[lane], from, sizeof blocks[lane]);
    } else {
      for (size_t i = 0; i < BLOCK; i++) blocks[lane][i] = i < count ? from[i] : 0;
    }
    counts[lane] = count;
    factors[lane] = row < group->rows ? group->factor[row] : 1;
    start += BLOCK;
    if (start == group->blocks * BLOCK) {
      start = 0;
      row++;
    }
  }
  lanes_f32 factor;
  memcpy(&factor, factors, sizeof factor);
  transpose(blocks, (float(*)[LANES])t->x);
  lanes_f32 square = {0};
  for (int i = 0; i < BLOCK; i++) {
    t->x[i] *= factor;
    square += t->x[i] * t->x[i];
  }
  lanes_f32 floor = square * (2.0f / BLOCK);
  for (int i = 0; i < BLOCK; i++) t->weight[i] = floor + t->x[i] * t->x[i];
  for (size_t lane = 0; lane < LANES; lane++)
    for (size_t i = counts[lane]; i < BLOCK; i++) t->weight[i][lane] = 0;
}

#endif
