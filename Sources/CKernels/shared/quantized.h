// Products of q8 and q4 weights with activations in 13 and 8 bits. The dot product of 32 columns is
// an exact integer; the products with the activation's scale are added block after block.
//
// The instruction set's file defines before:
//   ck_block                        32 columns of 16 rows, decoded for dot products
//   void load_block(w, group, block, format, ck_block *)
//   void dot_blocks(block, a, a_stride, offsets, offset_stride, tokens, format, v16i *sums)
//                                   dot products of one block with `tokens` rows of codes; in
//                                   q4 with the levels of the weights, in q8 without
//   v16i dot_one(w, group, block, a, offsets, format)
//                                   the same for one row, straight from the packed weights
#ifndef CK_QUANTIZED_H
#define CK_QUANTIZED_H

#include <math.h>

#include "floats.h"

// Blocks decoded at a time, and tokens that use them before the next: both stay in cache.
#define CK_TILE_BLOCKS 32
#define CK_PANEL_TOKENS 128

// The form of the activations that a format multiplies with, from one row on.
typedef struct ck_operand {
  const int8_t *codes;
  ptrdiff_t code_stride, block_codes;
  const float *scales;
  const int32_t *offsets;
  ptrdiff_t block_offsets;
} ck_operand;

CK_INLINE ck_operand operand(const ck_activations *q, ptrdiff_t row, const int32_t format) {
  if (format == CK_Q8) {
    return (ck_operand){q->fine_codes + 2 * row * q->code_stride, 2 * q->code_stride,
                        2 * CK_BLOCK, q->fine_scales + row * q->blocks,
                        q->fine_offsets + row * q->blocks, 1};
  }
  return (ck_operand){q->codes + row * q->code_stride, q->code_stride, CK_BLOCK,
                      q->scales + row * q->blocks, q->offsets + 2 * row * q->blocks, 2};
}

// The levels of 16 rows in one block of q8; q4 has its levels in the dot products.
CK_INLINE v16f levels_of(const ck_weights *w, ptrdiff_t group, ptrdiff_t block,
                         const int32_t format) {
  if (format == CK_Q4) return splat(1.0f);
  typedef uint8_t v16u __attribute__((vector_size(16)));
  v16u bytes;
  memcpy(&bytes, w->block_scales + (group * w->blocks + block) * CK_GROUP, sizeof bytes);
  return __builtin_convertvector(__builtin_convertvector(bytes, v16i), v16f);
}

CK_INLINE v16f add_block(v16f sum, v16i dot, float scale, v16f levels, const int32_t format) {
  const v16f factor = format == CK_Q8 ? splat(scale) * levels : splat(scale);
  return multiply_add(factor, __builtin_convertvector(dot, v16f), sum);
}

CK_INLINE void multiply_one(const ck_product *p, ptrdiff_t group, const int32_t format) {
  const ck_operand q = operand(&p->quantized, 0, format);
  v16f sum = splat(0.0f);
  for (ptrdiff_t b = 0; b < p->weights.blocks; b++) {
    const v16i dot = dot_one(&p->weights, group, b, q.codes + b * q.block_codes,
                             q.offsets + b * q.block_offsets, format);
    sum = add_block(sum, dot, q.scales[b], levels_of(&p->weights, group, b, format), format);
  }
  finish(p, group, 0, sum * load(p->weights.row_scales + group * CK_GROUP));
}

// Where sums of one group rest between tiles.
typedef struct ck_partial {
  float *sums;
  ptrdiff_t stride;
} ck_partial;

typedef struct ck_tile {
  ptrdiff_t first_block;
  ptrdiff_t blocks;
  ck_block block[CK_TILE_BLOCKS];
} ck_tile;

CK_INLINE void multiply_tile(const ck_product *p, const ck_tile *tile, ptrdiff_t group,
                             ptrdiff_t token, const int tokens, ck_partial partial,
                             const int32_t format) {
  const ck_operand q = operand(&p->quantized, token, format);
  const ptrdiff_t last_block = tile->first_block + tile->blocks;
  const ptrdiff_t row_scales = p->quantized.blocks;
  v16f sums[CK_TILE_TOKENS];
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) {
    sums[t] = tile->first_block == 0 ? splat(0.0f) : load(partial.sums + t * partial.stride);
  }
  for (ptrdiff_t i = 0; i < tile->blocks; i++) {
    const ptrdiff_t b = tile->first_block + i;
    v16i dots[CK_TILE_TOKENS];
    dot_blocks(&tile->block[i], q.codes + b * q.block_codes, q.code_stride,
               q.offsets + b * q.block_offsets, q.block_offsets * row_scales, tokens, format,
               dots);
    const v16f levels = levels_of(&p->weights, group, b, format);
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
      sums[t] = add_block(sums[t], dots[t], q.scales[t * row_scales + b], levels, format);
    }
  }
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) {
    if (last_block < p->weights.blocks) {
      store(partial.sums + t * partial.stride, sums[t]);
    } else {
      finish(p, group, token + t, sums[t] * load(p->weights.row_scales + group * CK_GROUP));
    }
  }
}

CK_INLINE void multiply_panel(const ck_product *p, const ck_tile *tile, ptrdiff_t group,
                              ptrdiff_t first, ptrdiff_t last, float *edge,
                              const int32_t format) {
  // Sums of a whole group rest in y itself, those of a last group with fewer rows beside it.
  const int whole = (group + 1) * CK_GROUP <= p->weights.rows;
  ck_partial partial = {.sums = whole ? p->y + first * p->y_stride + group * CK_GROUP : edge,
                        .stride = whole ? p->y_stride : CK_GROUP};
  ptrdiff_t t = first;
  for (; t + CK_TILE_TOKENS <= last; t += CK_TILE_TOKENS) {
    multiply_tile(p, tile, group, t, CK_TILE_TOKENS, partial, format);
    partial.sums += CK_TILE_TOKENS * partial.stride;
  }
  for (; t + 2 <= last; t += 2) {
    multiply_tile(p, tile, group, t, 2, partial, format);
    partial.sums += 2 * partial.stride;
  }
  if (t < last) multiply_tile(p, tile, group, t, 1, partial, format);
}

CK_INLINE void multiply_many(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group,
                             const int32_t format) {
  const ptrdiff_t blocks = p->weights.blocks;
  ck_tile tile;
  float edge[CK_PANEL_TOKENS * CK_GROUP];
  for (ptrdiff_t first = 0; first < p->tokens; first += CK_PANEL_TOKENS) {
    const ptrdiff_t end = first + CK_PANEL_TOKENS;
    const ptrdiff_t last = end < p->tokens ? end : p->tokens;
    for (tile.first_block = 0; tile.first_block < blocks; tile.first_block += CK_TILE_BLOCKS) {
      const ptrdiff_t left = blocks - tile.first_block;
      tile.blocks = left < CK_TILE_BLOCKS ? left : CK_TILE_BLOCKS;
      for (ptrdiff_t group = first_group; group < last_group; group++) {
        for (ptrdiff_t b = 0; b < tile.blocks; b++) {
          load_block(&p->weights, group, tile.first_block + b, format, &tile.block[b]);
        }
        multiply_panel(p, &tile, group, first, last, edge, format);
      }
    }
  }
}

CK_INLINE void multiply_blocks(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group,
                               const int32_t format) {
  if (p->tokens == 1 || p->weights.blocks == 0) {
    for (ptrdiff_t group = first_group; group < last_group; group++) {
      if (p->tokens == 1) multiply_one(p, group, format);
      for (ptrdiff_t t = 0; t < p->tokens && p->tokens > 1; t++) {
        finish(p, group, t, splat(0.0f));
      }
    }
  } else {
    multiply_many(p, first_group, last_group, format);
  }
}

static void multiply_q8(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group) {
  multiply_blocks(p, first_group, last_group, CK_Q8);
}

static void multiply_q4(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group) {
  multiply_blocks(p, first_group, last_group, CK_Q4);
}

static void multiply(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group) {
  switch (p->weights.format) {
    case CK_F32: multiply_float_groups(p, first_group, last_group, CK_F32); break;
    case CK_F16: multiply_float_groups(p, first_group, last_group, CK_F16); break;
    case CK_BF16: multiply_float_groups(p, first_group, last_group, CK_BF16); break;
    case CK_Q8: multiply_q8(p, first_group, last_group); break;
    default: multiply_q4(p, first_group, last_group); break;
  }
}

// One block of activations as integers of at most `limit` in magnitude; returns the scale.
CK_INLINE float round_block(v16f low, v16f high, const float limit, v16i *c0, v16i *c1) {
  const v16i low_bits = (v16i)absolute(low), high_bits = (v16i)absolute(high);
  const int32_t bits =
      __builtin_reduce_max(__builtin_elementwise_max(low_bits, high_bits));
  if (bits < CK_TINY_BITS || bits >= CK_INFINITY_BITS) {
    *c0 = *c1 = (v16i){0};
    return bits < CK_TINY_BITS ? 0.0f : NAN;
  }
  float magnitude;
  memcpy(&magnitude, &bits, sizeof magnitude);
  const v16f inverse = splat(limit / magnitude);
  *c0 = __builtin_convertvector(__builtin_elementwise_roundeven(low * inverse), v16i);
  *c1 = __builtin_convertvector(__builtin_elementwise_roundeven(high * inverse), v16i);
  return magnitude / limit;
}

CK_INLINE void store_codes(int8_t *codes, v16i c0, v16i c1) {
  const v16c b0 = __builtin_convertvector(c0, v16c), b1 = __builtin_convertvector(c1, v16c);
  memcpy(codes, &b0, sizeof b0);
  memcpy(codes + 16, &b1, sizeof b1);
}

CK_INLINE void quantize_block(v16f low, v16f high, const ck_activations *q, ptrdiff_t row,
                              ptrdiff_t block) {
  const ptrdiff_t at = row * q->blocks + block;
  const ptrdiff_t place = row * q->code_stride + block * CK_BLOCK;
  v16i c0, c1;
  q->scales[at] = round_block(low, high, 127.0f, &c0, &c1);
  store_codes(q->codes + place, c0, c1);
  q->offsets[2 * at] = -128 * __builtin_reduce_add(c0);
  q->offsets[2 * at + 1] = -128 * __builtin_reduce_add(c1);
  q->fine_scales[at] = round_block(low, high, 4095.0f, &c0, &c1);
  const v16i h0 = (c0 + 32) >> 6, h1 = (c1 + 32) >> 6;
  store_codes(q->fine_codes + 2 * place, h0, h1);
  store_codes(q->fine_codes + 2 * place + CK_BLOCK, c0 - 64 * h0, c1 - 64 * h1);
  q->fine_offsets[at] = -128 * __builtin_reduce_add(c0 + c1);
}

// Zeros fill a last block that has fewer than 32 columns.
static void quantize(const float *x, ptrdiff_t columns, ptrdiff_t row,
                     const ck_activations *activations) {
  ptrdiff_t b = 0;
  for (; (b + 1) * CK_BLOCK <= columns; b++) {
    const ptrdiff_t c = b * CK_BLOCK;
    quantize_block(load(x + c), load(x + c + 16), activations, row, b);
  }
  const ptrdiff_t c = b * CK_BLOCK, left = columns - c;
  if (left > 0) {
    const v16f low = load_part(x + c, left < 16 ? left : 16);
    const v16f high = left > 16 ? load_part(x + c + 16, left - 16) : splat(0.0f);
    quantize_block(low, high, activations, row, b);
  }
}

#endif
