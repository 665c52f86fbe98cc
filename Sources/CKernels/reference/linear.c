// Linear layers, one output element after the other.
#include <math.h>
#include <string.h>

#include "../layout/layout.h"
#include "../shared/constants.h"
#include "ck_formats.h"
#include "reference.h"

#pragma STDC FP_CONTRACT OFF

// Rounds up to 32 numbers to integers of at most `limit` in magnitude; the others are zero.
static void quantize_block(const float *x, ptrdiff_t n, float limit, int32_t *codes,
                           float *scale) {
  uint32_t largest = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    bits &= 0x7fffffff;
    if (bits > largest) largest = bits;
  }
  memset(codes, 0, CK_BLOCK * sizeof *codes);
  if (largest < CK_TINY_BITS) {
    *scale = 0;
  } else if (largest >= CK_INFINITY_BITS) {
    *scale = NAN;
  } else {
    float magnitude;
    memcpy(&magnitude, &largest, sizeof magnitude);
    *scale = magnitude / limit;
    const float inverse = limit / magnitude;
    for (ptrdiff_t i = 0; i < n; i++) codes[i] = (int32_t)rintf(x[i] * inverse);
  }
}

void ck_ref_quantize(const float *x, ptrdiff_t columns, ptrdiff_t row,
                     const ck_activations *activations) {
  const ck_activations q = *activations;
  for (ptrdiff_t b = 0; b * CK_BLOCK < columns; b++) {
    const ptrdiff_t first = b * CK_BLOCK, at = row * q.blocks + b;
    const ptrdiff_t n = columns - first < CK_BLOCK ? columns - first : CK_BLOCK;
    int32_t codes[CK_BLOCK];
    quantize_block(x + first, n, 127.0f, codes, q.scales + at);
    for (ptrdiff_t i = 0; i < CK_BLOCK; i++) {
      q.codes[row * q.code_stride + first + i] = (int8_t)codes[i];
    }
    quantize_block(x + first, n, 4095.0f, codes, q.fine_scales + at);
    int16_t *fine = (int16_t *)q.fine_codes + row * q.code_stride + first;
    for (ptrdiff_t i = 0; i < CK_BLOCK; i++) fine[i] = (int16_t)codes[i];
  }
}

// Integer dot product of one block of 32 columns; exact. That of q4 is over halves of the grid
// values, which are even.
static int32_t block_dot_q8(const ck_weights *w, ptrdiff_t row, ptrdiff_t block,
                            const int16_t *a) {
  int32_t sum = 0;
  for (ptrdiff_t i = block * CK_BLOCK; i < (block + 1) * CK_BLOCK; i++) {
    sum += ck_q8_code(w, row, i) * a[i];
  }
  return sum;
}

static int32_t block_dot_q4(const ck_weights *w, ptrdiff_t row, ptrdiff_t block,
                            const int8_t *a) {
  int32_t total = 0;
  for (ptrdiff_t half = 2 * block; half < 2 * block + 2; half++) {
    const uint8_t byte = ck_q4_scale_byte(w, row, half);
    int32_t sum = 0;
    for (ptrdiff_t i = 16 * half; i < 16 * half + 16; i++) {
      sum += ck_q4_grid_value(byte & 1, ck_q4_code(w, row, i)) / 2 * a[i];
    }
    total += sum * ck_q4_block_scale(byte);
  }
  return total;
}

static float dot_q8(const ck_product *p, ptrdiff_t row, ptrdiff_t token) {
  const ck_weights *w = &p->weights;
  const int16_t *a =
      (const int16_t *)p->quantized.fine_codes + token * p->quantized.code_stride;
  const float *scales = p->quantized.fine_scales + token * p->quantized.blocks;
  float sum = 0;
  for (ptrdiff_t b = 0; b < w->blocks; b++) {
    const float scale = scales[b] * (float)ck_q8_level(w, row, b);
    sum = fmaf(scale, (float)block_dot_q8(w, row, b, a), sum);
  }
  return sum * w->row_scales[row];
}

static float dot_q4(const ck_product *p, ptrdiff_t row, ptrdiff_t token) {
  const ck_weights *w = &p->weights;
  const int8_t *a = p->quantized.codes + token * p->quantized.code_stride;
  const float *scales = p->quantized.scales + token * p->quantized.blocks;
  float sum = 0;
  for (ptrdiff_t b = 0; b < w->blocks; b++) {
    sum = fmaf(scales[b], (float)block_dot_q4(w, row, b, a), sum);
  }
  return (sum + sum) * w->row_scales[row];
}

// As floats, after decoding.
static float dot_ggml(const ck_product *p, ptrdiff_t row, ptrdiff_t token) {
  const ck_weights *w = &p->weights;
  const float *x = p->x + token * p->x_stride;
  const ptrdiff_t width = ck_ggml_block_columns(w->format);
  float partial[4] = {0, 0, 0, 0}, values[CK_GGML_COLUMNS];
  for (ptrdiff_t c = 0; c < w->columns; c++) {
    if (c % width == 0) ck_ggml_values(w, row, c / width, values);
    partial[c & 3] = fmaf(values[c % width], x[c], partial[c & 3]);
  }
  return (partial[0] + partial[1]) + (partial[2] + partial[3]);
}

static float dot_float(const ck_product *p, ptrdiff_t row, ptrdiff_t token) {
  const float *x = p->x + token * p->x_stride;
  float partial[4] = {0, 0, 0, 0};
  for (ptrdiff_t c = 0; c < p->weights.columns; c++) {
    partial[c & 3] = fmaf(ck_float_weight(&p->weights, row, c), x[c], partial[c & 3]);
  }
  return (partial[0] + partial[1]) + (partial[2] + partial[3]);
}

void ck_ref_multiply(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group) {
  const int32_t format = p->weights.format;
  const ptrdiff_t end = last_group * CK_GROUP;
  const ptrdiff_t last_row = end < p->weights.rows ? end : p->weights.rows;
  for (ptrdiff_t t = 0; t < p->tokens; t++) {
    for (ptrdiff_t r = first_group * CK_GROUP; r < last_row; r++) {
      const float dot = format == CK_Q8     ? dot_q8(p, r, t)
                        : format == CK_Q4   ? dot_q4(p, r, t)
                        : format > CK_Q4    ? dot_ggml(p, r, t)
                                            : dot_float(p, r, t);
      p->y[t * p->y_stride + r] = p->bias ? dot + p->bias[r] : dot;
    }
  }
}

void ck_ref_gather(const ck_weights *w, ptrdiff_t row, float *y) {
  if (w->format > CK_Q4) {
    const ptrdiff_t width = ck_ggml_block_columns(w->format);
    for (ptrdiff_t c = 0; c < w->columns; c += width) {
      float values[CK_GGML_COLUMNS];
      ck_ggml_values(w, row, c / width, values);
      const ptrdiff_t left = w->columns - c;
      memcpy(y + c, values, (size_t)(left < width ? left : width) * sizeof *y);
    }
    return;
  }
  for (ptrdiff_t c = 0; c < w->columns; c++) {
    if (w->format == CK_Q8) {
      y[c] = w->row_scales[row] *
             (float)(ck_q8_level(w, row, c / CK_BLOCK) * ck_q8_code(w, row, c));
    } else if (w->format == CK_Q4) {
      const uint8_t byte = ck_q4_scale_byte(w, row, c / 16);
      y[c] = w->row_scales[row] *
             (float)(ck_q4_block_scale(byte) *
                     ck_q4_grid_value(byte & 1, ck_q4_code(w, row, c)));
    } else {
      y[c] = ck_float_weight(w, row, c);
    }
  }
}
