/* Rounding with error feedback: each column of weights takes over what the columns before it have
 * lost, as far as the activations make one stand in for the other.
 *
 * With H = Σ a aᵀ over activations a, an error e of a row of weights costs e H eᵀ. Let
 * H = (1 + U) D (1 + U)ᵀ with U strictly upper triangular: rounding column j of w + e U, where e
 * is what the columns before j have lost, is the best that can be done column by column (Chee et
 * al. 2023, "QuIP", section 3). In reversed order of columns U comes from the Cholesky factor L of
 * H: U[k, j] = L[k', j'] / L[j', j'] with k' = n - 1 - k. */
#ifndef CK_QUANTIZE_FEEDBACK_H
#define CK_QUANTIZE_FEEDBACK_H

#include "encoding.h"

/* How wide vectors are passed does not matter: functions that take them are inlined. */
#pragma clang diagnostic ignored "-Wpsabi"

/* Sixteen rows side by side. */
typedef float rows_f32 __attribute__((vector_size(64)));
typedef int32_t rows_i32 __attribute__((vector_size(64)));

enum { FEEDBACK_ROWS = 16, FEEDBACK_COLUMNS = 64, PANEL = 64 };

/* ---- sums of products ---- */

/* Adds Σ x[t, i] x[t, j] over `rows` rows to h[i, j], for i from `first` to `last`, j up to i. */
static void add_products_of_columns(
    const float *x, size_t stride, size_t rows, size_t n, size_t first, size_t last, float *h) {
  for (size_t i = first; i < last; i += 4) {
    size_t count = last - i < 4 ? last - i : 4;
    for (size_t j = 0; j < i + count; j += 32) {
      rows_f32 sums[4][2] = {{{0}}};
      for (size_t t = 0; t < rows; t++) {
        const float *row = x + t * stride;
        rows_f32 a, b;
        memcpy(&a, row + j, sizeof a);
        memcpy(&b, row + j + 16, sizeof b);
        for (size_t k = 0; k < 4; k++) {
          rows_f32 factor = (rows_f32){0} + row[i + k];
          sums[k][0] = __builtin_elementwise_fma(factor, a, sums[k][0]);
          sums[k][1] = __builtin_elementwise_fma(factor, b, sums[k][1]);
        }
      }
      for (size_t k = 0; k < count; k++) {
        float s[32];
        memcpy(s, sums[k], sizeof s);
        for (size_t l = 0; l < 32 && j + l <= i + k; l++) h[(i + k) * n + j + l] += s[l];
      }
    }
  }
}

/* ---- Cholesky ---- */

/* Σ a b of `n` numbers, a multiple of 16. */
INLINE float dot_product(const float *a, const float *b, size_t n) {
  rows_f32 sum = {0};
  for (size_t i = 0; i < n; i += 16) {
    rows_f32 x, y;
    memcpy(&x, a + i, sizeof x);
    memcpy(&y, b + i, sizeof y);
    sum = __builtin_elementwise_fma(x, y, sum);
  }
  float s[16];
  memcpy(s, &sum, sizeof s);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; i++) s[i] += s[i + width];
  return s[0];
}

/* Factors the square of PANEL columns on the diagonal from `first` on. Returns 0 where it is not
 * positive. */
static int factor_diagonal(float *a, size_t n, size_t first) {
  size_t end = first + PANEL < n ? first + PANEL : n;
  for (size_t i = first; i < end; i++)
    for (size_t j = first; j <= i; j++) {
      float sum = a[i * n + j];
      for (size_t k = first; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      if (i == j) {
        if (!(sum > 0)) return 0;
        a[i * n + i] = __builtin_sqrtf(sum);
      } else {
        a[i * n + j] = sum / a[j * n + j];
      }
    }
  return 1;
}

/* Rows below the diagonal square: their columns of the panel. */
static void solve_panel(float *a, size_t n, size_t first, size_t row, size_t last_row) {
  for (; row < last_row; row++)
    for (size_t j = first; j < first + PANEL; j++) {
      float sum = a[row * n + j];
      for (size_t k = first; k < j; k++) sum -= a[row * n + k] * a[j * n + k];
      a[row * n + j] = sum / a[j * n + j];
    }
}

/* Rows below the panel: what the panel takes from the columns behind it. */
static void update_rows(float *a, size_t n, size_t first, size_t row, size_t last_row) {
  for (; row < last_row; row++)
    for (size_t j = first + PANEL; j <= row; j++)
      a[row * n + j] -= dot_product(a + row * n + first, a + j * n + first, PANEL);
}

/* ---- rounding ---- */

/* The codes of one column for 16 rows, and what they stand for. */
INLINE rows_f32 round_column(rows_f32 w, rows_f32 scale, rows_i32 grid, rows_i32 *code) {
  static const int8_t grids[2][GRID] = {CK_Q4_GRID_0, CK_Q4_GRID_1};
  rows_i32 zero = scale == 0;
  rows_f32 safe = (rows_f32)(((rows_i32)scale & ~zero) | ((rows_i32)((rows_f32){0} + 1.0f) & zero));
  rows_f32 shift = __builtin_convertvector(grid * GRID_SHIFT, rows_f32);
  rows_f32 position = w / safe - shift;
  rows_f32 value = (rows_f32){0} + (float)grids[0][0];
  rows_i32 found = {0};
  for (int k = 0; k + 1 < GRID; k++) {
    rows_i32 above = position > (float)((grids[0][k] + grids[0][k + 1]) / 2);
    rows_f32 step = (rows_f32){0} + (float)(grids[0][k + 1] - grids[0][k]);
    value += (rows_f32)((rows_i32)step & above);
    found -= above;
  }
  *code = found;
  return (value + shift) * scale;
}

/* Sixteen rows: `w` and `lost` are [columns][16], columns in reversed order. `factor` is
 * [columns, columns], its row k' holding U in its first k' columns. */
static void feed_back_rows(
    const float *factor, size_t columns, const ck_encoding *e, const float *w, float *lost,
    float *moved) {
  size_t padded = ck_padded_columns(columns);
  size_t blocks = padded / CK_Q4_BLOCK;
  memset(moved, 0, columns * sizeof(rows_f32));
  for (size_t end = columns; end > 0;) {
    size_t start = end > FEEDBACK_COLUMNS ? end - FEEDBACK_COLUMNS : 0;
    for (size_t k = end; k-- > start;) {
      size_t column = columns - 1 - k;
      rows_f32 scale = {0};
      rows_i32 grid = {0}, code;
      for (size_t r = 0; r < e->rows; r++) {
        uint8_t byte = e->block_scale[r * blocks + column / CK_Q4_BLOCK];
        scale[r] = e->row_scale[r] * (float)ck_q4_block_scale(byte);
        grid[r] = byte & 1;
      }
      rows_f32 weight, correction;
      memcpy(&weight, w + k * FEEDBACK_ROWS, sizeof weight);
      memcpy(&correction, moved + k * FEEDBACK_ROWS, sizeof correction);
      rows_f32 value = round_column(weight + correction, scale, grid, &code);
      rows_f32 error = weight - value;
      memcpy(lost + k * FEEDBACK_ROWS, &error, sizeof error);
      for (size_t r = 0; r < e->rows; r++) {
        uint8_t *to = e->codes + r * (padded / 2) + column / 2;
        *to = column & 1 ? (uint8_t)((*to & 15) | code[r] << 4)
                         : (uint8_t)((*to & 240) | code[r]);
      }
      for (size_t j = start; j < k; j++) {
        rows_f32 sum;
        memcpy(&sum, moved + j * FEEDBACK_ROWS, sizeof sum);
        sum = __builtin_elementwise_fma(error, (rows_f32){0} + factor[k * columns + j], sum);
        memcpy(moved + j * FEEDBACK_ROWS, &sum, sizeof sum);
      }
    }
    for (size_t j = 0; j < start; j += 4) {
      size_t count = start - j < 4 ? start - j : 4;
      rows_f32 sums[4] = {{0}};
      memcpy(sums, moved + j * FEEDBACK_ROWS, count * sizeof(rows_f32));
      for (size_t k = start; k < end; k++) {
        rows_f32 error;
        memcpy(&error, lost + k * FEEDBACK_ROWS, sizeof error);
        const float *row = factor + k * columns + j;
        for (size_t i = 0; i < count; i++)
          sums[i] = __builtin_elementwise_fma(error, (rows_f32){0} + row[i], sums[i]);
      }
      memcpy(moved + j * FEEDBACK_ROWS, sums, count * sizeof(rows_f32));
    }
    end = start;
  }
}

static void feed_back(const float *factor, const ck_encoding *e, float *scratch) {
  size_t columns = e->columns, padded = ck_padded_columns(columns);
  float *w = scratch, *lost = w + columns * FEEDBACK_ROWS, *moved = lost + columns * FEEDBACK_ROWS;
  for (size_t first = 0; first < e->rows; first += FEEDBACK_ROWS) {
    ck_encoding part = *e;
    part.rows = e->rows - first < FEEDBACK_ROWS ? e->rows - first : FEEDBACK_ROWS;
    part.x = e->x + first * columns;
    part.row_scale = e->row_scale + first;
    part.block_scale = e->block_scale + first * (padded / CK_Q4_BLOCK);
    part.codes = e->codes + first * (padded / 2);
    for (size_t k = 0; k < columns; k++)
      for (size_t r = 0; r < FEEDBACK_ROWS; r++)
        w[k * FEEDBACK_ROWS + r] =
            r < part.rows ? part.x[r * columns + columns - 1 - k] : 0;
    feed_back_rows(factor, columns, &part, w, lost, moved);
  }
}

#endif
