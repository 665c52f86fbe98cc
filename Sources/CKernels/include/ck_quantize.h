/* Encoders of the stored weight formats in ck_formats.h.
 *
 * The bytes depend on the weights, the importance and the effort alone. Inner sums are of whole
 * numbers; what is left in floats is plain IEEE arithmetic of each block by itself, in a fixed
 * order, with no contraction and no mathematical library. So every instruction set gives the bytes
 * of `reference`, and rows can be encoded in any order. Weights must be finite. */
#ifndef CK_QUANTIZE_H
#define CK_QUANTIZE_H

#include "ck_formats.h"

#pragma clang assume_nonnull begin

enum { CK_EFFORT_FAST = 0, CK_EFFORT_DEFAULT = 1, CK_EFFORT_BEST = 2 };

/* Rows to encode, and where their planes go. */
typedef struct ck_encoding {
  const float *x; /* [rows, columns] */
  size_t rows;
  size_t columns;
  /* How much each column's error counts, at least 0 and finite; NULL where nothing is known. */
  const float *_Nullable importance;
  int32_t effort;
  float *row_scale;     /* [rows] */
  uint8_t *block_scale; /* q8 [rows, C/32]; q4 [rows, C/16] */
  uint8_t *codes;       /* q8 [rows, C]; q4 [rows, C/2] */
} ck_encoding;

typedef struct ck_quantizer {
  void (*q4)(const ck_encoding *encoding);
  void (*q8)(const ck_encoding *encoding);
  /* The values that planes stand for, into [rows, columns] floats. */
  void (*decode_q4)(const float *row_scale, const uint8_t *block_scale, const uint8_t *codes,
                    size_t rows, size_t columns, float *values);
  void (*decode_q8)(const float *row_scale, const uint8_t *block_scale, const uint8_t *codes,
                    size_t rows, size_t columns, float *values);
  /* sums[0] += Σ x², sums[1] += Σ (x - y)², by 8 partial sums in double. */
  void (*squares)(const float *x, const float *y, size_t n, double sums[_Nonnull 2]);
  /* h[i, j] += Σ x[t, i] x[t, j] over rows t, for i from `first` to `last` and j up to i. `stride`
   * is a multiple of 32, at least n + 4, and x is zero from n on. */
  void (*add_products)(const float *x, size_t stride, size_t rows, size_t n, size_t first,
                       size_t last, float *h);
  /* The Cholesky factor of a matrix a [n, n], of which the lower half counts, panel by panel of
   * CK_PANEL columns: the square on the diagonal (0 where the matrix is not positive), the panel's
   * rows below it, and what it takes from the columns behind it. Rows may be done in any order. */
  int (*factor_diagonal)(float *a, size_t n, size_t first);
  void (*solve_panel)(float *a, size_t n, size_t first, size_t row, size_t last_row);
  void (*update_rows)(float *a, size_t n, size_t first, size_t row, size_t last_row);
  /* Chooses the codes of q4 anew with error feedback; scales stay as they are. Row k of `factor`
   * [columns, columns] holds in its first k columns the share of an error in column
   * columns - 1 - k that each column columns - 1 - j takes over. `scratch` has 48 floats for each
   * column. */
  void (*feed_back)(const float *factor, const ck_encoding *encoding, float *scratch);
} ck_quantizer;

enum { CK_PANEL = 64, CK_FEEDBACK_SCRATCH = 48 };

/* The encoders of one instruction set, as numbered in ck_kernels.h; null where this processor or
 * this build lacks them. */
const ck_quantizer *_Nullable ck_quantizer_find(int32_t instruction_set);

#pragma clang assume_nonnull end
#endif
