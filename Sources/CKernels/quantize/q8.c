/* The encoder of q8. For each block of 32 it tries block scales from the smallest that clips
 * nothing upwards and keeps the one whose rounding errors happen to be least: one decibel better
 * than the smallest alone. */
#include "ck_quantize.h"

#include <string.h>

#pragma STDC FP_CONTRACT OFF
/* How wide vectors are passed does not matter: every function here is inlined. */
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

enum {
  BLOCK = CK_Q8_BLOCK,
  CANDIDATES = 20,
  /* The largest block's scale before the search, which leaves room for larger ones. */
  TOP_SCALE = 235,
  LARGEST_SCALE = 255
};

typedef float block_f32 __attribute__((vector_size(4 * BLOCK)));
typedef int32_t block_i32 __attribute__((vector_size(4 * BLOCK)));
typedef int8_t block_i8 __attribute__((vector_size(BLOCK)));

INLINE float largest(const float *x, size_t count) {
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

/* The sum of all elements, halves first. */
INLINE float sum(block_f32 x) {
  float s[BLOCK];
  memcpy(s, &x, sizeof s);
  for (int width = BLOCK / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) s[i] += s[i + width];
  return s[0];
}

/* x / scale rounded to whole numbers from -127 to 127, ties to even. */
INLINE block_i32 codes_for(block_f32 x, float scale) {
  const float magic = 12582912.0f; /* 1.5 * 2^23 */
  block_i32 q = (block_i32)(x * (1.0f / scale) + magic) - 0x4b400000;
  q = __builtin_elementwise_min(q, (block_i32){0} + 127);
  return __builtin_elementwise_max(q, (block_i32){0} - 127);
}

/* The block scale with the least squared error; `unit` is the row scale. */
INLINE int32_t best_scale(block_f32 x, float most, float unit) {
  /* 127.49: the largest element still rounds to 127. */
  float wanted = most / (unit * 127.49f);
  int32_t first = (int32_t)wanted;
  first += (float)first < wanted;
  first = first < 1 ? 1 : first;
  /* A scale a tenth too large costs more than luck can win back. */
  int32_t last = first + 1 + first / 10;
  last = last > first + CANDIDATES - 1 ? first + CANDIDATES - 1 : last;
  last = last > LARGEST_SCALE ? LARGEST_SCALE : last;
  int32_t best = first;
  float least = 0;
  for (int32_t candidate = first; candidate <= last; candidate++) {
    float scale = unit * (float)candidate;
    block_f32 error = x - __builtin_convertvector(codes_for(x, scale), block_f32) * scale;
    float total = sum(error * error);
    if (candidate == first || total < least) {
      least = total;
      best = candidate;
    }
  }
  return best;
}

INLINE void encode_row(
    const float *row, size_t columns, float *row_scale, uint8_t *block_scale, int8_t *codes) {
  size_t blocks = ck_padded_columns(columns) / BLOCK;
  /* Weights so small that their row scale would not be a normal number count as zero. */
  float unit = largest(row, columns) / (TOP_SCALE * 127.0f);
  if (unit < 0x1p-126f) unit = 0;
  double a = 0, b = 0;
  for (size_t k = 0; k < blocks; k++) {
    size_t count = columns - k * BLOCK < BLOCK ? columns - k * BLOCK : BLOCK;
    float padded[BLOCK] = {0};
    memcpy(padded, row + k * BLOCK, count * sizeof(float));
    float most = largest(padded, BLOCK);
    block_scale[k] = 0;
    memset(codes + k * BLOCK, 0, BLOCK);
    if (!(unit > 0) || !(most > 0)) continue;
    block_f32 x;
    memcpy(&x, padded, sizeof x);
    int32_t scale = best_scale(x, most, unit);
    block_i32 q = codes_for(x, unit * (float)scale);
    block_i8 narrow = __builtin_convertvector(q, block_i8);
    block_scale[k] = (uint8_t)scale;
    memcpy(codes + k * BLOCK, &narrow, sizeof narrow);
    block_f32 value = __builtin_convertvector(q * scale, block_f32);
    /* In units of the row scale, so that no square overflows. */
    a += (double)sum(x * (1.0f / unit) * value);
    b += (double)sum(value * value);
  }
  *row_scale = b > 0 ? (float)((double)unit * (a / b)) : unit;
}

INLINE void encode(
    const float *x, size_t rows, size_t columns, float *row_scale, uint8_t *block_scale,
    int8_t *codes) {
  size_t padded = ck_padded_columns(columns);
  for (size_t r = 0; r < rows; r++)
    encode_row(
        x + r * columns, columns, row_scale + r, block_scale + r * (padded / BLOCK),
        codes + r * padded);
}

/* The same source for two instruction sets: no step depends on the width of the registers. */
#if defined(__x86_64__)
__attribute__((target("avx2"))) static void encode_avx2(
    const float *x, size_t rows, size_t columns, float *row_scale, uint8_t *block_scale,
    int8_t *codes) {
  encode(x, rows, columns, row_scale, block_scale, codes);
}
#endif

void ck_q8_encode(
    const float *x, size_t rows, size_t columns, float *row_scale, uint8_t *block_scale,
    int8_t *codes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    encode_avx2(x, rows, columns, row_scale, block_scale, codes);
    return;
  }
#endif
  encode(x, rows, columns, row_scale, block_scale, codes);
}
