// Weights to ggml's blocks. Scales are searched for the least squared error: candidates around the
// one that maps the largest weight to the last level, each with the scale that fits its codes best.
// The same bytes everywhere: plain operations in a fixed order.
#include "ck_ggml.h"

#include <math.h>
#include <string.h>

#include "../reference/reference.h"

#pragma STDC FP_CONTRACT OFF

enum { CANDIDATES = 9 };
#define STEPS_PER_LEVEL 8.0f

// The levels of a type whose values are scale * level.
typedef struct levels {
  int32_t lowest;
  int32_t highest;
  int is_table;
} levels;

static const int8_t table[16] = {CK_IQ4_VALUES};

static int32_t clamped(float value, int32_t lowest, int32_t highest) {
  if (!(value > (float)lowest)) return lowest;
  return value < (float)highest ? (int32_t)rintf(value) : highest;
}

// The level nearest to a value.
static int32_t nearest(levels l, float value) {
  if (!l.is_table) return clamped(value, l.lowest, l.highest);
  int32_t code = 0;
  while (code < 15 && value > 0.5f * (float)(table[code] + table[code + 1])) code++;
  return table[code];
}

static int32_t table_code(int32_t level) {
  int32_t code = 0;
  while (table[code] != level) code++;
  return code;
}

static uint16_t half_of(float value) {
  const float limit = 65504.0f;
  return ck_ref_to_f16(value > limit ? limit : value < -limit ? -limit : value);
}

static float put_half(uint8_t *p, float value) {
  const uint16_t half = half_of(value);
  p[0] = (uint8_t)half;
  p[1] = (uint8_t)(half >> 8);
  return ck_ref_from_f16(half);
}

// What a scale divides by; zero where nothing can be divided.
static float inverse(float scale) {
  const float result = 1.0f / scale;
  return scale != 0 && fabsf(result) < 1e30f ? result : 0;
}

// The scale for which levels times scale come nearest to n weights.
static float best_scale(const float *x, ptrdiff_t n, levels l) {
  float largest = 0;
  for (ptrdiff_t i = 0; i < n; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
  if (largest < 1e-30f) return 0;
  double best = 0, scale = 0;
  for (int sign = -1; sign <= 1; sign += 2) {
    for (int k = -CANDIDATES; k <= CANDIDATES; k++) {
      const float end = (float)-l.lowest + (float)k / STEPS_PER_LEVEL * (l.is_table ? 8.0f : 1.0f);
      const float factor = (float)sign * end / largest;
      double product = 0, square = 0;
      for (ptrdiff_t i = 0; i < n; i++) {
        const double q = nearest(l, x[i] * factor);
        product += q * (double)x[i];
        square += q * q;
      }
      if (square > 0 && product * product > best * square) {
        best = product * product / square;
        scale = product / square;
      }
    }
  }
  return (float)scale;
}

// Scale and offset for which scale * (0 … highest) + offset come nearest to n weights; where
// `below` is set, the offset is not positive.
static void best_line(const float *x, ptrdiff_t n, int32_t highest, int below, float *scale,
                      float *offset) {
  float low = x[0], high = x[0];
  double sum = 0, power = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
    sum += (double)x[i];
    power += (double)x[i] * (double)x[i];
  }
  if (below && low > 0) low = 0;
  *scale = 0;
  *offset = low;
  if (high - low < 1e-30f) return;
  double best = INFINITY;
  for (int k = -CANDIDATES; k <= CANDIDATES; k++) {
    const float factor = ((float)highest + (float)k / STEPS_PER_LEVEL) / (high - low);
    double q1 = 0, q2 = 0, qx = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
      const double q = clamped((x[i] - low) * factor, 0, highest);
      q1 += q, q2 += q * q, qx += q * (double)x[i];
    }
    const double count = (double)n, determinant = count * q2 - q1 * q1;
    double a = 0, b = 0;
    if (determinant > 0) {
      a = (count * qx - q1 * sum) / determinant;
      b = (sum - a * q1) / count;
    }
    if (determinant <= 0 || (below && b > 0)) {
      a = q2 > 0 ? qx / q2 : 0;
      b = 0;
    }
    const double error = power + a * a * q2 + b * b * count + 2 * (a * b * q1 - a * qx - b * sum);
    if (a > 0 && error < best) {
      best = error;
      *scale = (float)a;
      *offset = (float)b;
    }
  }
}

// The codes of 32 columns as nibbles, and their fifth bits.
static void put_codes(const uint8_t *codes, uint8_t *nibbles, uint8_t *bits) {
  for (ptrdiff_t i = 0; i < 16; i++) {
    nibbles[i] = (uint8_t)((codes[i] & 15) | (codes[i + 16] & 15) << 4);
  }
  for (ptrdiff_t i = 0; bits && i < 32; i++) {
    if (i % 8 == 0) bits[i / 8] = 0;
    bits[i / 8] |= (uint8_t)((codes[i] >> 4 & 1) << i % 8);
  }
}

static void encode_symmetric(int32_t format, const float *x, uint8_t *p) {
  const levels l = format == CK_Q4_0   ? (levels){-8, 7, 0}
                   : format == CK_Q5_0 ? (levels){-16, 15, 0}
                                       : (levels){-127, 113, 1};
  const float factor = inverse(put_half(p, best_scale(x, 32, l)));
  uint8_t codes[32];
  for (ptrdiff_t i = 0; i < 32; i++) {
    const int32_t level = nearest(l, x[i] * factor);
    codes[i] = (uint8_t)(l.is_table ? table_code(level) : level - l.lowest);
  }
  put_codes(codes, p + (format == CK_Q5_0 ? 6 : 2), format == CK_Q5_0 ? p + 2 : NULL);
}

static void encode_bytes(const float *x, uint8_t *p) {
  float largest = 0;
  for (ptrdiff_t i = 0; i < 32; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
  const float factor = inverse(put_half(p, largest / 127));
  for (ptrdiff_t i = 0; i < 32; i++) {
    p[2 + i] = (uint8_t)(int8_t)clamped(x[i] * factor, -127, 127);
  }
}

static void encode_line(int32_t format, const float *x, uint8_t *p) {
  const int32_t highest = format == CK_Q4_1 ? 15 : 31;
  float scale, offset;
  best_line(x, 32, highest, 0, &scale, &offset);
  const float factor = inverse(put_half(p, scale));
  const float base = put_half(p + 2, offset);
  uint8_t codes[32];
  for (ptrdiff_t i = 0; i < 32; i++) {
    codes[i] = (uint8_t)clamped((x[i] - base) * factor, 0, highest);
  }
  put_codes(codes, p + (format == CK_Q4_1 ? 4 : 8), format == CK_Q4_1 ? NULL : p + 4);
}

static void encode_affine(int32_t format, const float *x, uint8_t *p) {
  const int32_t highest = format == CK_Q4_K ? 15 : 31;
  float scales[8], minima[8], largest[2] = {0, 0};
  for (ptrdiff_t s = 0; s < 8; s++) {
    best_line(x + 32 * s, 32, highest, 1, &scales[s], &minima[s]);
    minima[s] = -minima[s];
    largest[0] = scales[s] > largest[0] ? scales[s] : largest[0];
    largest[1] = minima[s] > largest[1] ? minima[s] : largest[1];
  }
  memset(p, 0, (size_t)ck_ggml_block_bytes(format));
  const float d = put_half(p, largest[0] / 63), dmin = put_half(p + 2, largest[1] / 63);
  uint8_t *nibbles = format == CK_Q4_K ? p + 16 : p + 48;
  for (ptrdiff_t s = 0; s < 8; s++) {
    const int32_t scale = clamped(scales[s] * inverse(d), 0, 63);
    const int32_t minimum = clamped(minima[s] * inverse(dmin), 0, 63);
    if (s < 4) {
      p[4 + s] |= (uint8_t)scale;
      p[8 + s] |= (uint8_t)minimum;
    } else {
      p[8 + s] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
      p[s] |= (uint8_t)(scale >> 4 << 6);
      p[4 + s] |= (uint8_t)(minimum >> 4 << 6);
    }
    const float factor = inverse(d * (float)scale), low = dmin * (float)minimum;
    for (ptrdiff_t i = 0; i < 32; i++) {
      const int32_t code = clamped((x[32 * s + i] + low) * factor, 0, highest);
      nibbles[s / 2 * 32 + i] |= (uint8_t)((code & 15) << s % 2 * 4);
      if (format == CK_Q5_K) p[16 + i] |= (uint8_t)(code >> 4 << s);
    }
  }
}

static void encode_q6(const float *x, uint8_t *p) {
  const levels l = {-32, 31, 0};
  float scales[16], largest = 0;
  for (ptrdiff_t s = 0; s < 16; s++) {
    scales[s] = best_scale(x + 16 * s, 16, l);
    largest = fabsf(scales[s]) > largest ? fabsf(scales[s]) : largest;
  }
  memset(p, 0, 210);
  const float d = put_half(p + 208, largest / 127);
  for (ptrdiff_t c = 0; c < 256; c++) {
    const int32_t scale = clamped(scales[c / 16] * inverse(d), -127, 127);
    p[192 + c / 16] = (uint8_t)(int8_t)scale;
    const int32_t code = clamped(x[c] * inverse(d * (float)scale), -32, 31) + 32;
    const ptrdiff_t half = c / 128, quarter = c % 128 / 32, i = c % 32;
    p[half * 64 + quarter % 2 * 32 + i] |= (uint8_t)((code & 15) << quarter / 2 * 4);
    p[128 + half * 32 + i] |= (uint8_t)(code >> 4 << 2 * quarter);
  }
}

static void encode_iq4_xs(const float *x, uint8_t *p) {
  const levels l = {-127, 113, 1};
  float scales[8], largest = 0;
  for (ptrdiff_t s = 0; s < 8; s++) {
    scales[s] = best_scale(x + 32 * s, 32, l);
    largest = fabsf(scales[s]) > largest ? fabsf(scales[s]) : largest;
  }
  memset(p, 0, 136);
  const float d = put_half(p, largest / 31);
  for (ptrdiff_t s = 0; s < 8; s++) {
    const int32_t scale = clamped(scales[s] * inverse(d), -32, 31);
    const int32_t stored = scale + 32;
    p[4 + s / 2] |= (uint8_t)((stored & 15) << s % 2 * 4);
    p[2 + s / 4] |= (uint8_t)(stored >> 4 << s % 4 * 2);
    uint8_t codes[32];
    for (ptrdiff_t i = 0; i < 32; i++) {
      const float value = x[32 * s + i] * inverse(d * (float)scale);
      codes[i] = (uint8_t)table_code(nearest(l, value));
    }
    put_codes(codes, p + 8 + 16 * s, NULL);
  }
}

void ck_ggml_encode(int32_t format, const float *values, uint8_t *block) {
  switch (format) {
    case CK_Q8_0: encode_bytes(values, block); break;
    case CK_Q4_1:
    case CK_Q5_1: encode_line(format, values, block); break;
    case CK_Q4_K:
    case CK_Q5_K: encode_affine(format, values, block); break;
    case CK_Q6_K: encode_q6(values, block); break;
    case CK_IQ4_XS: encode_iq4_xs(values, block); break;
    default: encode_symmetric(format, values, block); break;
  }
}

void ck_ggml_encode_row(int32_t format, const float *values, ptrdiff_t columns, uint8_t *row) {
  const ptrdiff_t width = ck_ggml_block_columns(format), bytes = ck_ggml_block_bytes(format);
  for (ptrdiff_t c = 0; c < columns; c += width, row += bytes) {
    float block[CK_GGML_COLUMNS] = {0};
    const ptrdiff_t left = columns - c;
    memcpy(block, values + c, (size_t)(left < width ? left : width) * sizeof *block);
    ck_ggml_encode(format, block, row);
  }
}
