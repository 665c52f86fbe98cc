// Products of q8 and q4 weights with activations in 13 and 8 bits. The dot product of 32 columns is
// an exact integer; the products with the activation's scale are added block after block.
//
// The instruction set's file defines before:
//   CK_TILE_GROUPS, CK_TILE_TOKENS  groups of 16 rows and tokens whose sums stay in registers
//   CK_TILE_BLOCKS                  blocks decoded at a time: those of a tile's groups fit in cache
//   ck_block                        32 columns of 16 rows, decoded for dot products
//   void load_block(w, group, block, format, ck_block *)
//   void dot_tile(blocks, groups, a, tokens, format, v16i dots[][CK_TILE_TOKENS])
//                                   dot products of one block of each group, CK_TILE_BLOCKS apart,
//                                   with rows of codes; in q4 with the levels of the weights, in
//                                   q8 without
//   void dot_unit_q4(unit, a, v16i dots[2])
//   v16i dot_one_q8(codes, a)       the same for one row, straight from the packed weights: two
//                                   blocks of q4 or one of q8
//   void store_fine(codes, v16i first, v16i second)
//                                   13-bit codes of one block, in the form that q8 takes
// and where CK_RAISED_CODES is defined, a tile of its own for q4:
//   void tile_q4(p, blocks, first_block, count, token, tokens, float *sums)
// where `a` is a ck_columns.
#ifndef CK_QUANTIZED_H
#define CK_QUANTIZED_H

#include <math.h>

#include "../layout/layout.h"
#include "floats.h"
#include "ggml.h"

// Tokens that use decoded blocks before the next are decoded: their codes stay in cache.
#define CK_PANEL_TOKENS 128
// Groups that one token's products read at the same time where rows are long; with short rows,
// whose activations stay in the first cache, one is faster.
#define CK_STREAMS 4
#define CK_NARROW_BLOCKS 160

// The form of the activations that a format multiplies with, from one row and block on.
CK_INLINE ck_columns columns_at(const ck_activations *q, ptrdiff_t row, ptrdiff_t block,
                                const int32_t format) {
  const ptrdiff_t at = row * q->blocks + block;
  const ptrdiff_t code = row * q->code_stride + block * CK_BLOCK;
  if (format == CK_Q8) {
    return (ck_columns){.codes = q->fine_codes + 2 * code,
                        .sums = q->sums,
                        .offsets = q->fine_offsets + at,
                        .stride = 2 * q->code_stride,
                        .sum_stride = q->blocks};
  }
  return (ck_columns){.codes = q->codes + code,
                      .sums = q->sums + 2 * at,
                      .offsets = q->offsets + 2 * at,
                      .stride = q->code_stride,
                      .sum_stride = 2 * q->blocks};
}

// The dot products of q4 are over halves of the grid values.
CK_INLINE void finish_scaled(const ck_product *p, ptrdiff_t group, ptrdiff_t token, v16f sum,
                             const int32_t format) {
  const v16f whole = format == CK_Q4 ? sum + sum : sum;
  finish(p, group, token, whole * load(p->weights.row_scales + group * CK_GROUP));
}

// The levels of 16 rows in one block of q8; q4 has its levels in the dot products.
CK_INLINE v16f levels_of(const uint8_t *levels) {
  v16u bytes;
  memcpy(&bytes, levels, sizeof bytes);
  return __builtin_convertvector(__builtin_convertvector(bytes, v16i), v16f);
}

CK_INLINE v16f add_block(v16f sum, v16i dot, v16f factor) {
  return multiply_add(factor, __builtin_convertvector(dot, v16f), sum);
}

// One token: groups `group`, `group` + step, …; each is a stream that the processor prefetches, and
// a core reads memory faster in several.
CK_INLINE void stream_q4(const ck_product *p, ptrdiff_t group, ptrdiff_t step,
                         const int streams) {
  const ck_activations *q = &p->quantized;
  const uint8_t *units = p->weights.codes + ck_q4_unit(&p->weights, group, 0);
  const ptrdiff_t stride = ck_q4_unit(&p->weights, step, 0);
  v16f sums[CK_STREAMS];
  for (int s = 0; s < streams; s++) sums[s] = splat(0.0f);
  for (ptrdiff_t b = 0; b < p->weights.blocks; b += 2, units += CK_Q4_UNIT) {
    const ck_columns columns = columns_at(q, 0, b, CK_Q4);
#pragma clang loop unroll(disable)
    for (int s = 0; s < streams; s++) {
      v16i dots[2];
      dot_unit_q4(units + s * stride, columns, dots);
      sums[s] = add_block(sums[s], dots[0], splat(q->scales[b]));
      sums[s] = add_block(sums[s], dots[1], splat(q->scales[b + 1]));
    }
  }
  for (int s = 0; s < streams; s++) finish_scaled(p, group + s * step, 0, sums[s], CK_Q4);
}

CK_INLINE void stream_q8(const ck_product *p, ptrdiff_t group, ptrdiff_t step,
                         const int streams) {
  const ck_activations *q = &p->quantized;
  const ptrdiff_t stride = step * p->weights.blocks;
  v16f sums[CK_STREAMS];
  for (int s = 0; s < streams; s++) sums[s] = splat(0.0f);
  for (ptrdiff_t b = 0; b < p->weights.blocks; b++) {
    const ck_columns columns = columns_at(q, 0, b, CK_Q8);
    const v16f scale = splat(q->fine_scales[b]);
#pragma clang loop unroll(disable)
    for (int s = 0; s < streams; s++) {
      const ptrdiff_t at = group * p->weights.blocks + s * stride + b;
      const v16f levels = levels_of(p->weights.block_scales + at * CK_GROUP);
      const v16i dot = dot_one_q8(p->weights.codes + at * 512, columns);
      sums[s] = add_block(sums[s], dot, scale * levels);
    }
  }
  for (int s = 0; s < streams; s++) finish_scaled(p, group + s * step, 0, sums[s], CK_Q8);
}

CK_INLINE void stream(const ck_product *p, ptrdiff_t group, ptrdiff_t step, const int streams,
                      const int32_t format) {
  if (format == CK_Q4) {
    stream_q4(p, group, step, streams);
  } else {
    stream_q8(p, group, step, streams);
  }
}

CK_INLINE void multiply_one(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group,
                            const int32_t format) {
  const ptrdiff_t step =
      p->weights.blocks > CK_NARROW_BLOCKS ? (last_group - first_group) / CK_STREAMS : 0;
  for (ptrdiff_t g = first_group; g < first_group + step; g++) {
    stream(p, g, step, CK_STREAMS, format);
  }
  for (ptrdiff_t g = first_group + step * CK_STREAMS; g < last_group; g++) {
    stream(p, g, 0, 1, format);
  }
}

// Decoded blocks of neighbouring groups, and the sums of a panel's tokens over the blocks before.
typedef struct ck_tile {
  ptrdiff_t first_group;
  ptrdiff_t first_block;
  ptrdiff_t blocks;
  ck_block block[CK_TILE_GROUPS][CK_TILE_BLOCKS];
  float sums[CK_PANEL_TOKENS][CK_TILE_GROUPS][CK_GROUP];
} ck_tile;

CK_INLINE void multiply_tile(const ck_product *p, ck_tile *tile, const int groups,
                             ptrdiff_t panel, ptrdiff_t token, const int tokens,
                             const int32_t format) {
#ifdef CK_RAISED_CODES
  if (format == CK_Q4) {
    tile_q4(p, tile->block[0], tile->first_block, tile->blocks, token, tokens,
            tile->sums[token - panel][0]);
    return;
  }
#endif
  const ck_activations *q = &p->quantized;
  const float *scales = (format == CK_Q8 ? q->fine_scales : q->scales) + token * q->blocks;
  float(*rest)[CK_TILE_GROUPS][CK_GROUP] = tile->sums + (token - panel);
  v16f sums[CK_TILE_GROUPS][CK_TILE_TOKENS];
#pragma clang loop unroll(full)
  for (int g = 0; g < groups; g++) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
      sums[g][t] = tile->first_block == 0 ? splat(0.0f) : load(rest[t][g]);
    }
  }
  for (ptrdiff_t i = 0; i < tile->blocks; i++) {
    const ptrdiff_t b = tile->first_block + i;
    v16i dots[CK_TILE_GROUPS][CK_TILE_TOKENS];
    dot_tile(&tile->block[0][i], groups, columns_at(q, token, b, format), tokens, format, dots);
#pragma clang loop unroll(full)
    for (int g = 0; g < groups; g++) {
      const ptrdiff_t levels = ((tile->first_group + g) * p->weights.blocks + b) * CK_GROUP;
      const v16f level = format == CK_Q8 ? levels_of(p->weights.block_scales + levels) : splat(1);
#pragma clang loop unroll(full)
      for (int t = 0; t < tokens; t++) {
        const v16f scale = splat(scales[t * q->blocks + b]);
        sums[g][t] = add_block(sums[g][t], dots[g][t], format == CK_Q8 ? scale * level : scale);
      }
    }
  }
#pragma clang loop unroll(full)
  for (int g = 0; g < groups; g++) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) store(rest[t][g], sums[g][t]);
  }
}

// All tokens of a panel with the blocks of one or more groups, a tile of blocks after the other.
CK_INLINE void multiply_panel(const ck_product *p, ck_tile *tile, const int groups,
                              ptrdiff_t first, ptrdiff_t last, const int32_t format) {
  const ptrdiff_t blocks = p->weights.blocks;
  for (tile->first_block = 0; tile->first_block < blocks; tile->first_block += CK_TILE_BLOCKS) {
    const ptrdiff_t left = blocks - tile->first_block;
    tile->blocks = left < CK_TILE_BLOCKS ? left : CK_TILE_BLOCKS;
    for (ptrdiff_t b = 0; b < tile->blocks; b++) {
#pragma clang loop unroll(full)
      for (int g = 0; g < groups; g++) {
        load_block(&p->weights, tile->first_group + g, tile->first_block + b, format,
                   &tile->block[g][b]);
      }
    }
    ptrdiff_t t = first;
    for (; t + CK_TILE_TOKENS <= last; t += CK_TILE_TOKENS) {
      multiply_tile(p, tile, groups, first, t, CK_TILE_TOKENS, format);
    }
    for (; t < last; t++) multiply_tile(p, tile, groups, first, t, 1, format);
  }
  for (ptrdiff_t t = first; t < last; t++) {
#pragma clang loop unroll(full)
    for (int g = 0; g < groups; g++) {
      finish_scaled(p, tile->first_group + g, t, load(tile->sums[t - first][g]), format);
    }
  }
}

CK_INLINE void multiply_many(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group,
                             const int32_t format) {
  ck_tile tile;
  for (ptrdiff_t first = 0; first < p->tokens; first += CK_PANEL_TOKENS) {
    const ptrdiff_t end = first + CK_PANEL_TOKENS;
    const ptrdiff_t last = end < p->tokens ? end : p->tokens;
    tile.first_group = first_group;
    for (; tile.first_group + CK_TILE_GROUPS <= last_group; tile.first_group += CK_TILE_GROUPS) {
      multiply_panel(p, &tile, CK_TILE_GROUPS, first, last, format);
    }
    for (; tile.first_group < last_group; tile.first_group++) {
      multiply_panel(p, &tile, 1, first, last, format);
    }
  }
}

CK_INLINE void multiply_blocks(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group,
                               const int32_t format) {
  if (p->weights.blocks == 0) {
    for (ptrdiff_t group = first_group; group < last_group; group++) {
      for (ptrdiff_t t = 0; t < p->tokens; t++) finish(p, group, t, splat(0.0f));
    }
  } else if (p->tokens == 1) {
    multiply_one(p, first_group, last_group, format);
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
    case CK_Q4: multiply_q4(p, first_group, last_group); break;
    default: multiply_ggml(p, first_group, last_group); break;
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

CK_INLINE void quantize_block(v16f low, v16f high, const ck_activations *q, ptrdiff_t row,
                              ptrdiff_t block) {
  const ptrdiff_t at = row * q->blocks + block;
  const ptrdiff_t place = row * q->code_stride + block * CK_BLOCK;
  v16i c0, c1;
  q->scales[at] = round_block(low, high, 127.0f, &c0, &c1);
  store_bytes(q->codes + place, c0);
  store_bytes(q->codes + place + 16, c1);
#ifdef CK_RAISED_CODES
  store_bytes((int8_t *)q->raised_codes + place, c0 - 128);
  store_bytes((int8_t *)q->raised_codes + place + 16, c1 - 128);
#endif
  const int32_t sums[2] = {__builtin_reduce_add(c0), __builtin_reduce_add(c1)};
  for (int half = 0; half < 2; half++) {
    q->sums[2 * at + half] = (int16_t)sums[half];
    q->offsets[2 * at + half] = -64 * sums[half];
  }
  q->fine_scales[at] = round_block(low, high, 4095.0f, &c0, &c1);
  store_fine(q->fine_codes + 2 * place, c0, c1);
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
