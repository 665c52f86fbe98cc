// Products of f32, f16 and bf16 weights with f32 activations: one weight row in each lane, four
// partial sums by column mod 4.
#ifndef CK_FLOATS_H
#define CK_FLOATS_H

#include "convert.h"

// 16 weights of one column, at element `index` of the plane.
CK_INLINE v16f weights_at(const uint8_t *codes, ptrdiff_t index, const int32_t format) {
  switch (format) {
    case CK_F16: return from_f16(codes + 2 * index);
    case CK_BF16: return from_bf16(codes + 2 * index);
    default: return load((const float *)codes + index);
  }
}

// Writes one group's results of one token, with their bias, as far as rows exist.
CK_INLINE void finish(const ck_product *p, ptrdiff_t group, ptrdiff_t token, v16f sum) {
  const ptrdiff_t row = group * CK_GROUP;
  const ptrdiff_t count = p->weights.rows - row < CK_GROUP ? p->weights.rows - row : CK_GROUP;
  float *y = p->y + token * p->y_stride + row;
  if (count == CK_GROUP) {
    store(y, p->bias ? sum + load(p->bias + row) : sum);
  } else {
    store_part(y, p->bias ? sum + load_part(p->bias + row, count) : sum, count);
  }
}

CK_INLINE void multiply_floats(const ck_product *p, ptrdiff_t group, ptrdiff_t token,
                               const int tokens, const int32_t format) {
  const ptrdiff_t columns = p->weights.columns, first = group * columns * CK_GROUP;
  const uint8_t *codes = p->weights.codes;
  const float *x = p->x + token * p->x_stride;
  v16f sums[4][CK_FLOAT_TOKENS];
  for (int j = 0; j < 4; j++) {
    for (int t = 0; t < tokens; t++) sums[j][t] = splat(0.0f);
  }
  ptrdiff_t c = 0;
  for (; c + 4 <= columns; c += 4) {
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
      const v16f w = weights_at(codes, first + (c + j) * CK_GROUP, format);
#pragma clang loop unroll(full)
      for (int t = 0; t < tokens; t++) {
        sums[j][t] = multiply_add(w, splat(x[t * p->x_stride + c + j]), sums[j][t]);
      }
    }
  }
  for (int j = 0; c + j < columns; j++) {
    const v16f w = weights_at(codes, first + (c + j) * CK_GROUP, format);
    for (int t = 0; t < tokens; t++) {
      sums[j][t] = multiply_add(w, splat(x[t * p->x_stride + c + j]), sums[j][t]);
    }
  }
  for (int t = 0; t < tokens; t++) {
    finish(p, group, token + t, (sums[0][t] + sums[1][t]) + (sums[2][t] + sums[3][t]));
  }
}

CK_INLINE void multiply_float_groups(const ck_product *p, ptrdiff_t first_group,
                                     ptrdiff_t last_group, const int32_t format) {
  for (ptrdiff_t group = first_group; group < last_group; group++) {
    ptrdiff_t t = 0;
    for (; t + CK_FLOAT_TOKENS <= p->tokens; t += CK_FLOAT_TOKENS) {
      multiply_floats(p, group, t, CK_FLOAT_TOKENS, format);
    }
    for (; t < p->tokens; t++) multiply_floats(p, group, t, 1, format);
  }
}

#endif
