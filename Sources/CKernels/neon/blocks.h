// Decoding and dot products of quantized blocks with NEON: four registers hold 16 rows of four
// columns.
#ifndef CK_NEON_BLOCKS_H
#define CK_NEON_BLOCKS_H

#include <arm_neon.h>

#include "../layout/layout.h"
#include "../shared/fine.h"
#include "../shared/grids.h"
#include "../shared/vector.h"
#include "ck_kernels.h"

typedef struct ck_block {
  int8x16_t codes[8][4];
  int32x4_t levels[2][4];
} ck_block;

CK_INLINE void widen(int16x8_t low, int16x8_t high, int32x4_t *out) {
  out[0] = vmovl_s16(vget_low_s16(low));
  out[1] = vmovl_s16(vget_high_s16(low));
  out[2] = vmovl_s16(vget_low_s16(high));
  out[3] = vmovl_s16(vget_high_s16(high));
}

CK_INLINE int16x8_t unsigned_half(uint8x8_t bytes) {
  return vreinterpretq_s16_u16(vmovl_u8(bytes));
}

CK_INLINE void load_block_q4(const uint8_t *unit, const int block, ck_block *b) {
  static const uint8_t row_of_byte[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  const uint8_t *codes = unit + 64 + 256 * block;
  const uint8x16x4_t scales = vld4q_u8(unit);  // of each 16 columns, all rows
  const int8x16x2_t table = {{vld1q_s8(ck_half_grids[0]), vld1q_s8(ck_half_grids[1])}};
  const int16x8_t bias = vdupq_n_s16(CK_Q4_SCALE_BIAS);
  const uint8x16_t pattern = vld1q_u8(row_of_byte), nibble = vdupq_n_u8(15);
  for (int half = 0; half < 2; half++) {
    const uint8x16_t scale = veorq_u8(scales.val[2 * block + half], vdupq_n_u8(0x80));
    const uint8x16_t level = vandq_u8(scale, vdupq_n_u8(254));
    widen(vsubq_s16(unsigned_half(vget_low_u8(level)), bias),
          vsubq_s16(unsigned_half(vget_high_u8(level)), bias), b->levels[half]);
    const uint8x16_t grid = vshlq_n_u8(vandq_u8(scale, vdupq_n_u8(1)), 4);
    for (int r = 0; r < 4; r++) {
      const uint8x16_t rows = vqtbl1q_u8(grid, vaddq_u8(pattern, vdupq_n_u8((uint8_t)(4 * r))));
      for (int i = 0; i < 2; i++) {
        const uint8x16_t raw = vld1q_u8(codes + 64 * (2 * half + i) + 16 * r);
        const uint8x16_t low = vorrq_u8(vandq_u8(raw, nibble), rows);
        const uint8x16_t high = vorrq_u8(vshrq_n_u8(raw, 4), rows);
        b->codes[4 * half + 2 * i][r] = vqtbl2q_s8(table, low);
        b->codes[4 * half + 2 * i + 1][r] = vqtbl2q_s8(table, high);
      }
    }
  }
}

CK_INLINE void load_codes_q8(const uint8_t *codes, ck_block *b) {
  for (int i = 0; i < 8; i++) {
    for (int r = 0; r < 4; r++) b->codes[i][r] = vld1q_s8((const int8_t *)codes + 64 * i + 16 * r);
  }
}

CK_INLINE void load_block(const ck_weights *w, ptrdiff_t group, ptrdiff_t block,
                          const int32_t format, ck_block *b) {
  if (format == CK_Q8) {
    load_codes_q8(w->codes + (group * w->blocks + block) * 512, b);
    return;
  }
  const uint8_t *unit = w->codes + ck_q4_unit(w, group, block / 2);
  if (block % 2 == 0) {
    load_block_q4(unit, 0, b);
  } else {
    load_block_q4(unit, 1, b);
  }
}

// Sums of four rows over 16 columns.
CK_INLINE int32x4_t dot_half(const ck_block *b, const int half, const int r, int8x16_t a) {
  int32x4_t sum = vdupq_n_s32(0);
  sum = vdotq_laneq_s32(sum, b->codes[4 * half][r], a, 0);
  sum = vdotq_laneq_s32(sum, b->codes[4 * half + 1][r], a, 1);
  sum = vdotq_laneq_s32(sum, b->codes[4 * half + 2][r], a, 2);
  return vdotq_laneq_s32(sum, b->codes[4 * half + 3][r], a, 3);
}

// One row of codes against a block of q8: high bytes count 64 times.
CK_INLINE v16i dot_q8(const ck_block *b, const int8_t *a) {
  const int8x16_t first = vld1q_s8(a), second = vld1q_s8(a + 16);
  const int8x16_t low_first = vld1q_s8(a + 32), low_second = vld1q_s8(a + 48);
  int32x4_t dots[4];
  for (int r = 0; r < 4; r++) {
    const int32x4_t high = vaddq_s32(dot_half(b, 0, r, first), dot_half(b, 1, r, second));
    const int32x4_t low =
        vaddq_s32(dot_half(b, 0, r, low_first), dot_half(b, 1, r, low_second));
    dots[r] = vaddq_s32(vshlq_n_s32(high, 6), low);
  }
  v16i joined;
  memcpy(&joined, dots, sizeof joined);
  return joined;
}

CK_INLINE v16i dot_block(const ck_block *b, const int8_t *a, const int32_t format) {
  if (format == CK_Q8) return dot_q8(b, a);
  const int8x16_t first = vld1q_s8(a), second = vld1q_s8(a + 16);
  int32x4_t dots[4];
  for (int r = 0; r < 4; r++) {
    const int32x4_t low = vmulq_s32(dot_half(b, 0, r, first), b->levels[0][r]);
    dots[r] = vmlaq_s32(low, dot_half(b, 1, r, second), b->levels[1][r]);
  }
  v16i joined;
  memcpy(&joined, dots, sizeof joined);
  return joined;
}

CK_INLINE void dot_tile(const ck_block *b, const int groups, ck_columns a, const int tokens,
                        const int32_t format, v16i dots[][CK_TILE_TOKENS]) {
  (void)groups;
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) dots[0][t] = dot_block(b, a.codes + t * a.stride, format);
}

CK_INLINE void dot_unit_q4(const uint8_t *unit, ck_columns a, v16i *dots) {
  ck_block b;
  load_block_q4(unit, 0, &b);
  dots[0] = dot_block(&b, a.codes, CK_Q4);
  load_block_q4(unit, 1, &b);
  dots[1] = dot_block(&b, a.codes + CK_BLOCK, CK_Q4);
}

CK_INLINE v16i dot_one_q8(const uint8_t *codes, ck_columns a) {
  ck_block b;
  load_codes_q8(codes, &b);
  return dot_q8(&b, a.codes);
}

#endif
