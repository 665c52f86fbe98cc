/* Decoders and error sums, in vectors. */
#ifndef CK_QUANTIZE_DECODE_H
#define CK_QUANTIZE_DECODE_H

#include "lanes.h"

typedef uint8_t eight_u8 __attribute__((vector_size(8)));
typedef uint8_t sixteen_u8 __attribute__((vector_size(16)));
typedef int16_t sixteen_i16 __attribute__((vector_size(32)));
typedef float sixteen_f32 __attribute__((vector_size(64)));
typedef double eight_f64 __attribute__((vector_size(64)));
typedef float eight_f32 __attribute__((vector_size(32)));

static void decode4(
    const float *row_scale, const uint8_t *block_scale, const uint8_t *codes, size_t rows,
    size_t columns, float *y) {
  static const int8_t grids[2][GRID] __attribute__((aligned(16))) = {CK_Q4_GRID_0, CK_Q4_GRID_1};
  size_t blocks = ck_padded_columns(columns) / CK_Q4_BLOCK;
  for (size_t r = 0; r < rows; r++)
    for (size_t b = 0; b * CK_Q4_BLOCK < columns; b++) {
      uint8_t scale = block_scale[r * blocks + b];
      eight_u8 bytes;
      memcpy(&bytes, codes + (r * blocks + b) * (CK_Q4_BLOCK / 2), sizeof bytes);
      eight_u8 low = bytes & 15, high = bytes >> 4;
      sixteen_u8 code = __builtin_shufflevector(
          low, high, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
      sixteen_i8 value = table_values(grids[scale & 1], (sixteen_i8)code);
      sixteen_i16 product = __builtin_convertvector(value, sixteen_i16) *
                            (int16_t)ck_q4_block_scale(scale);
      sixteen_f32 result = __builtin_convertvector(product, sixteen_f32) * row_scale[r];
      size_t start = b * CK_Q4_BLOCK, count = columns - start;
      memcpy(
          y + r * columns + start, &result,
          (count < CK_Q4_BLOCK ? count : CK_Q4_BLOCK) * sizeof(float));
    }
}

static void decode8(
    const float *row_scale, const uint8_t *block_scale, const uint8_t *codes, size_t rows,
    size_t columns, float *y) {
  size_t blocks = ck_padded_columns(columns) / CK_Q8_BLOCK;
  for (size_t r = 0; r < rows; r++)
    for (size_t b = 0; b * CK_Q8_BLOCK < columns; b++) {
      size_t start = b * CK_Q8_BLOCK;
      int16_t scale = block_scale[r * blocks + b];
      for (size_t half = 0; half < 2 && start < columns; half++, start += 16) {
        sixteen_i8 value;
        memcpy(&value, codes + (r * blocks + b) * CK_Q8_BLOCK + 16 * half, sizeof value);
        sixteen_i16 product = __builtin_convertvector(value, sixteen_i16) * scale;
        sixteen_f32 result = __builtin_convertvector(product, sixteen_f32) * row_scale[r];
        size_t count = columns - start < 16 ? columns - start : 16;
        memcpy(y + r * columns + start, &result, count * sizeof(float));
      }
    }
}

static void squares(const float *x, const float *y, size_t n, double sums[2]) {
  eight_f64 power = {0}, error = {0};
  size_t whole = n / 8 * 8;
  for (size_t i = 0; i < whole; i += 8) {
    eight_f32 a, b;
    memcpy(&a, x + i, sizeof a);
    memcpy(&b, y + i, sizeof b);
    eight_f64 wide = __builtin_convertvector(a, eight_f64);
    eight_f64 d = wide - __builtin_convertvector(b, eight_f64);
    power += wide * wide;
    error += d * d;
  }
  for (size_t i = whole; i < n; i++) {
    double d = (double)x[i] - (double)y[i];
    power[i % 8] += (double)x[i] * (double)x[i];
    error[i % 8] += d * d;
  }
  for (int i = 0; i < 8; i++) {
    sums[0] += power[i];
    sums[1] += error[i];
  }
}

#endif
