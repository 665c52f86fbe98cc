/* Blocks side by side: the 32-bit lane b of every vector belongs to block b, so that sums run
 * within lanes. Elements 2k and 2k + 1 of a block share a lane as two 16-bit numbers.
 *
 * The file of an instruction set defines VECTOR_BYTES and, on vectors of that size, before it
 * includes this:
 *   multiply_scaled(a, b)   a b / 2^15 in 16 bits, rounded, ties up; |a| and |b| at most 32767
 *   add_products(sum, a, b) sum + the two 16-bit products in each 32-bit lane
 *   pack(a, b)              16-bit numbers as bytes, cut off at -128 and 127: within each 16
 *                           bytes first those of a, then those of b
 *   spread_low, spread_high what pack has packed, as 16-bit numbers again, times 256
 *   shuffle(table, index)   within each 16 bytes table[index]; 0 where the index has its top bit
 *   look_up(table, index)   table[index] for an index from 0 to 31 */
#ifndef CK_QUANTIZE_LANES_H
#define CK_QUANTIZE_LANES_H

#include "encoding.h"

enum {
  LANES = VECTOR_BYTES / 4,
  /* Rows that are encoded together; their blocks follow one another. */
  GROUP_ROWS = 32
};

/* a where the mask is all ones, b where it is zero. */
INLINE v32i choose_int(v32i mask, v32i a, v32i b) { return (a & mask) | (b & ~mask); }

INLINE v32f choose(v32i mask, v32f a, v32f b) {
  return (v32f)choose_int(mask, (v32i)a, (v32i)b);
}

INLINE v32f same_float(float x) { return (v32f){0} + x; }

INLINE v32f magnitudes(v32f x) { return (v32f)((v32i)x & 0x7fffffff); }

/* Whole numbers nearest to x, ties to even, for |x| below 2^22. */
INLINE v32i nearest_whole(v32f x) {
  return (v32i)(x + 12582912.0f) - 0x4b400000; /* 1.5 * 2^23 and its bits */
}

INLINE v32i clamp_int(v32i x, int32_t low, int32_t high) {
  x = __builtin_elementwise_max(x, (v32i){0} + low);
  return __builtin_elementwise_min(x, (v32i){0} + high);
}

/* The low halves of a and of b as pairs. */
INLINE v16i pair(v32i a, v32i b) { return (v16i)((a & 0xffff) | (b << 16)); }

/* Both halves of each lane the same. */
INLINE v16i twice(v32i a) { return pair(a, a); }

/* Rows that are encoded together. */
typedef struct {
  const float *x;
  const float *importance;
  size_t rows, columns;
  size_t blocks;            /* of one row */
  float factor[GROUP_ROWS]; /* powers of two that bring each row's largest weight near 1 */
  float scale[GROUP_ROWS];  /* row scales, of the weights times `factor` */
} row_group;

typedef float four_f32 __attribute__((vector_size(16)));

/* Turns four runs of four into columns. */
INLINE void transpose_four(const float *from, size_t stride, float *to, size_t to_stride) {
  four_f32 a, b, c, d;
  memcpy(&a, from, sizeof a);
  memcpy(&b, from + stride, sizeof b);
  memcpy(&c, from + 2 * stride, sizeof c);
  memcpy(&d, from + 3 * stride, sizeof d);
  four_f32 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  four_f32 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  four_f32 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  four_f32 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
  memcpy(to, &a, sizeof a);
  memcpy(to + to_stride, &b, sizeof b);
  memcpy(to + 2 * to_stride, &c, sizeof c);
  memcpy(to + 3 * to_stride, &d, sizeof d);
}

/* Where blocks of a group begin, and how many elements they have; 0 behind the group's end. */
typedef struct {
  size_t row[LANES], start[LANES], count[LANES];
} block_places;

INLINE void find_blocks(const row_group *g, size_t first, size_t block, block_places *places) {
  size_t row = first / g->blocks, start = first % g->blocks * block;
  for (size_t lane = 0; lane < LANES; lane++) {
    size_t count = row < g->rows && start < g->columns ? g->columns - start : 0;
    places->row[lane] = row;
    places->start[lane] = start;
    places->count[lane] = count < block ? count : block;
    start += block;
    if (start == g->blocks * block) {
      start = 0;
      row++;
    }
  }
}

/* Lane b of to[i] becomes element i of block b; 0 behind its end. `stride` is that of the rows in
 * `from`: 0 where all rows share one. */
INLINE void load_lanes(
    const float *from, size_t stride, const block_places *places, int block, v32f *to) {
  float target[CK_Q8_BLOCK][LANES] __attribute__((aligned(64)));
  for (size_t lane = 0; lane < LANES; lane += 4) {
    float padded[4][CK_Q8_BLOCK] __attribute__((aligned(64)));
    for (size_t k = 0; k < 4; k++) {
      size_t count = places->count[lane + k];
      const float *start = from + places->row[lane + k] * stride + places->start[lane + k];
      if (count == (size_t)block) {
        memcpy(padded[k], start, (size_t)block * sizeof(float));
      } else {
        for (int i = 0; i < block; i++) padded[k][i] = (size_t)i < count ? start[i] : 0;
      }
    }
    for (int i = 0; i < block; i += 4)
      transpose_four(&padded[0][i], CK_Q8_BLOCK, &target[i][lane], LANES);
  }
  memcpy(to, target, (size_t)block * sizeof(v32f));
}

INLINE v32f row_factors(const row_group *g, const block_places *places) {
  float factors[LANES];
  for (size_t lane = 0; lane < LANES; lane++)
    factors[lane] = places->row[lane] < g->rows ? g->factor[places->row[lane]] : 1;
  v32f result;
  memcpy(&result, factors, sizeof result);
  return result;
}

INLINE v32f largest_lanes(const v32f *x, int count) {
  v32f most = {0};
  for (int i = 0; i < count; i++) {
    v32f m = magnitudes(x[i]);
    most = choose(m > most, m, most);
  }
  return most;
}

#endif
