// The values of ggml's blocks, one type after the other: the specification of the kernels.
#include "ck_ggml.h"

#include <string.h>

#include "../reference/reference.h"

#pragma STDC FP_CONTRACT OFF

static float half_at(const uint8_t *p) {
  return ck_ref_from_f16((uint16_t)(p[0] | p[1] << 8));
}

// The 32 nibbles of 16 bytes: first all low ones, then all high ones.
static int32_t nibble(const uint8_t *p, ptrdiff_t column) {
  return column < 16 ? p[column] & 15 : p[column - 16] >> 4;
}

static int32_t bit(const uint8_t *p, ptrdiff_t index) { return p[index / 8] >> index % 8 & 1; }

static int32_t table_value(int32_t code) {
  static const int8_t table[16] = {CK_IQ4_VALUES};
  return table[code];
}

static void decode_small(int32_t format, const uint8_t *p, float *values) {
  const float d = half_at(p);
  const float m = format == CK_Q4_1 || format == CK_Q5_1 ? half_at(p + 2) : 0;
  for (ptrdiff_t c = 0; c < 32; c++) {
    switch (format) {
      case CK_Q4_0: values[c] = d * (float)(nibble(p + 2, c) - 8); break;
      case CK_Q4_1: values[c] = d * (float)nibble(p + 4, c) + m; break;
      case CK_Q5_0:
        values[c] = d * (float)((nibble(p + 6, c) | bit(p + 2, c) << 4) - 16);
        break;
      case CK_Q5_1: values[c] = d * (float)(nibble(p + 8, c) | bit(p + 4, c) << 4) + m; break;
      case CK_Q8_0: values[c] = d * (float)(int8_t)p[2 + c]; break;
      default: values[c] = d * (float)table_value(nibble(p + 2, c)); break;
    }
  }
}

// Scale and minimum, 6 bits each, of the `s`-th 32 columns.
static void scale_and_minimum(const uint8_t *packed, ptrdiff_t s, int32_t *scale,
                              int32_t *minimum) {
  if (s < 4) {
    *scale = packed[s] & 63;
    *minimum = packed[s + 4] & 63;
  } else {
    *scale = (packed[s + 4] & 15) | (packed[s - 4] >> 6) << 4;
    *minimum = packed[s + 4] >> 4 | (packed[s] >> 6) << 4;
  }
}

static void decode_affine(int32_t format, const uint8_t *p, float *values) {
  const float d = half_at(p), dmin = half_at(p + 2);
  const uint8_t *nibbles = format == CK_Q4_K ? p + 16 : p + 48;
  for (ptrdiff_t c = 0; c < 256; c++) {
    int32_t scale, minimum;
    scale_and_minimum(p + 4, c / 32, &scale, &minimum);
    const uint8_t byte = nibbles[c / 64 * 32 + c % 32];
    int32_t q = c % 64 < 32 ? byte & 15 : byte >> 4;
    if (format == CK_Q5_K) q |= (p[16 + c % 32] >> c / 32 & 1) << 4;
    const float step = d * (float)scale, low = dmin * (float)minimum;
    values[c] = step * (float)q - low;
  }
}

static void decode_q6(const uint8_t *p, float *values) {
  const float d = half_at(p + 208);
  for (ptrdiff_t c = 0; c < 256; c++) {
    const ptrdiff_t half = c / 128, quarter = c % 128 / 32, i = c % 32;
    const uint8_t low = p[half * 64 + quarter % 2 * 32 + i];
    const uint8_t high = p[128 + half * 32 + i];
    const int32_t q = (quarter < 2 ? low & 15 : low >> 4) | (high >> 2 * quarter & 3) << 4;
    values[c] = d * (float)(int8_t)p[192 + c / 16] * (float)(q - 32);
  }
}

static void decode_iq4_xs(const uint8_t *p, float *values) {
  const float d = half_at(p);
  const uint32_t high = (uint32_t)(p[2] | p[3] << 8);
  for (ptrdiff_t c = 0; c < 256; c++) {
    const ptrdiff_t s = c / 32;
    const int32_t low = p[4 + s / 2] >> 4 * (s % 2) & 15;
    const int32_t scale = (low | (int32_t)(high >> 2 * s & 3) << 4) - 32;
    const int32_t code = nibble(p + 8 + 16 * s, c % 32);
    values[c] = d * (float)scale * (float)table_value(code);
  }
}

void ck_ggml_decode(int32_t format, const uint8_t *block, float *values) {
  switch (format) {
    case CK_Q4_K:
    case CK_Q5_K: decode_affine(format, block, values); break;
    case CK_Q6_K: decode_q6(block, values); break;
    case CK_IQ4_XS: decode_iq4_xs(block, values); break;
    default: decode_small(format, block, values); break;
  }
}

void ck_ggml_decode_row(int32_t format, const uint8_t *row, ptrdiff_t columns, float *values) {
  const ptrdiff_t width = ck_ggml_block_columns(format), bytes = ck_ggml_block_bytes(format);
  ptrdiff_t c = 0;
  for (; c + width <= columns; c += width, row += bytes) ck_ggml_decode(format, row, values + c);
  if (c < columns) {
    float last[CK_GGML_COLUMNS];
    ck_ggml_decode(format, row, last);
    memcpy(values + c, last, (size_t)(columns - c) * sizeof *last);
  }
}
