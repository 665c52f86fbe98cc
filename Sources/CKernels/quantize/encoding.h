/* What the reference and the fast encoders share: constants, and the arithmetic of one number. */
#ifndef CK_QUANTIZE_ENCODING_H
#define CK_QUANTIZE_ENCODING_H

#include <string.h>

#include "ck_quantize.h"

#pragma STDC FP_CONTRACT OFF

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline))
#endif

enum {
  GRID = CK_Q4_GRID_SIZE,
  /* A block's elements as whole numbers: the largest has this magnitude. */
  ONE = 32767,
  /* Weights of a block as whole numbers: the largest is this. */
  WEIGHT_ONE = 4095,
  /* Parts of a grid step that rounding to the final codes sees. */
  FINE = 256,
  /* The second grid is the first moved by this. */
  GRID_SHIFT = 2 * CK_Q4_HALF_SHIFT,
  /* The largest block's scale in q8 before the search, which leaves room for larger ones. */
  TOP_SCALE = 235,
  LARGEST_SCALE = 255,
  /* The code of columns behind a row's end. */
  PADDING_CODE = 8
};

/* The largest numbers in a row and in a block may differ by this before the block counts as zero:
 * it would decode to almost nothing, whatever is chosen. */
#define TINY 0x1p-40f

/* What a search tries. Candidate scales put the block's largest element at these grid positions,
 * from `first_reach` to `last_reach`, for both grids and signs; block scales then move by up to
 * `steps` odd numbers to each side, in `rounds` of fitting the row's scale. */
typedef struct {
  int scales, first_reach, last_reach, steps, rounds;
  /* Block scales that q8 tries. */
  int candidates;
} effort_settings;

INLINE effort_settings settings_of(int32_t effort) {
  switch (effort) {
    case CK_EFFORT_FAST: return (effort_settings){3, 92, 140, 0, 1, 1};
    case CK_EFFORT_BEST: return (effort_settings){24, 76, 168, 2, 3, 40};
    default: return (effort_settings){8, 80, 156, 1, 1, 20};
  }
}

INLINE int32_t reach_of(effort_settings s, int k) {
  return s.first_reach + (s.last_reach - s.first_reach) * k / (s.scales - 1);
}

/* The bits of 2^exponent, for exponents from -126 to 127. */
INLINE float power_of_two(int32_t exponent) {
  uint32_t bits = (uint32_t)(exponent + 127) << 23;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

INLINE float largest_magnitude(const float *x, size_t count) {
  uint32_t most = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  float result;
  memcpy(&result, &most, sizeof result);
  return result;
}

/* 2^-e where 2^e is at most the largest magnitude of the row: weights times this neither overflow
 * nor vanish. */
INLINE float row_factor(float most) {
  uint32_t bits;
  memcpy(&bits, &most, sizeof bits);
  int32_t exponent = (int32_t)(bits >> 23) - 127;
  exponent = exponent < -126 ? -126 : exponent > 126 ? 126 : exponent;
  return power_of_two(-exponent);
}

/* What the sums of a block mean in the weights' units, for the fit of the row's scale. */
typedef struct {
  double a, b;
} row_sums;

/* a = Σ w q x and b = Σ w q² as sums of whole numbers; `most` is the block's largest element and
 * `weight` its largest weight, which grows with the elements if they are `important` and with their
 * squares otherwise. */
INLINE void add_block(
    row_sums *sums, int32_t a, int32_t b, int32_t l, float most, float weight, int important) {
  double unit = (double)most / ONE;
  double w = (double)weight * unit * (important ? 1 : unit);
  sums->a += (double)a * l * (4096 * unit * w);
  sums->b += (double)b * l * l * w;
}

/* The same for q8, where all weights are one; `unit` is the row scale before the fit. */
INLINE void add_block8(
    row_sums *sums, int32_t a, int32_t b, int32_t scale, float most, float unit) {
  sums->a += (double)a * scale * ((double)most / ONE / (double)unit);
  sums->b += (double)b * scale * scale;
}

/* The row scale of q8 before its fit, of the weights times `factor`; weights so small that it would
 * not be a normal number count as zero. */
INLINE float first_unit8(float largest, float factor) {
  if (largest / (TOP_SCALE * 127.0f) < 0x1p-126f) return 0;
  return largest * factor / (TOP_SCALE * 127.0f);
}

INLINE float fitted_unit8(float unit, row_sums sums) {
  return sums.b > 0 ? (float)((double)unit * (sums.a / sums.b)) : unit;
}

#endif
