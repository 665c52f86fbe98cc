#include "ck_quantize.h"

#include <string.h>

#pragma STDC FP_CONTRACT OFF

/* Rounds to the nearest integer, ties to even, for |x| < 2^22. */
static inline float nearest(float x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23 */
  return (x + magic) - magic;
}

static inline float magnitude(float x) { return x < 0 ? -x : x; }

/* The largest |x| of a block; 0 for an empty one. */
static float largest(const float *x, size_t count) {
  float most = 0;
  for (size_t i = 0; i < count; i++) {
    float a = magnitude(x[i]);
    most = a > most ? a : most;
  }
  return most;
}

/* Row scale = largest |x| / (255 * 127); block scales are rounded up, so that no code clips. */
static void encode_row(
    const float *x, size_t columns, float *row_scale, uint8_t *block_scale, int8_t *codes) {
  size_t padded = ck_padded_columns(columns);
  size_t blocks = padded / CK_Q8_BLOCK;
  float most = largest(x, columns);
  float unit = most / (255.0f * 127.0f);
  *row_scale = unit;
  memset(codes, 0, padded);
  memset(block_scale, 0, blocks);
  if (!(unit > 0)) return;
  for (size_t b = 0; b < blocks; b++) {
    size_t first = b * CK_Q8_BLOCK;
    if (first >= columns) break;
    size_t count = columns - first < CK_Q8_BLOCK ? columns - first : CK_Q8_BLOCK;
    float wanted = largest(x + first, count) / (unit * 127.0f);
    int32_t scale = (int32_t)nearest(wanted + 0.499f);
    scale = scale > 255 ? 255 : scale;
    block_scale[b] = (uint8_t)scale;
    if (scale == 0) continue;
    float inverse = 1.0f / (unit * (float)scale);
    for (size_t i = 0; i < count; i++) {
      float q = nearest(x[first + i] * inverse);
      q = q > 127.0f ? 127.0f : q < -127.0f ? -127.0f : q;
      codes[first + i] = (int8_t)q;
    }
  }
}

void ck_q8_encode(
    const float *x, size_t rows, size_t columns, float *row_scale, uint8_t *block_scale,
    int8_t *codes) {
  size_t padded = ck_padded_columns(columns);
  for (size_t r = 0; r < rows; r++)
    encode_row(
        x + r * columns, columns, row_scale + r, block_scale + r * (padded / CK_Q8_BLOCK),
        codes + r * padded);
}
