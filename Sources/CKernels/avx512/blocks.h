// Decoding and dot products of quantized blocks with AVX-512 VNNI and VBMI: a register holds 16
// rows of four columns. Weights count as unsigned, +128 in q8 and +64 in q4; multiples of the sums
// of activations undo that.
#ifndef CK_AVX512_BLOCKS_H
#define CK_AVX512_BLOCKS_H

#include <immintrin.h>

#include "../layout/layout.h"
#include "../shared/fine.h"
#include "../shared/grids.h"
#include "../shared/vector.h"
#include "ck_kernels.h"

typedef struct ck_block {
  __m512i codes[8];
  __m512i levels[2];  // q4: of each half of the columns
} ck_block;

enum { UNSIGNED_BIAS = 64 };

// Halves of grid values, unsigned, four times over: the index is a code in the low bits.
CK_INLINE __m512i first_grid(void) {
  const __m128i grid = _mm_load_si128((const __m128i *)ck_half_grids[0]);
  return _mm512_add_epi8(_mm512_broadcast_i32x4(grid), _mm512_set1_epi8(UNSIGNED_BIAS));
}

// The same of both grids: the index is code | grid << 4.
CK_INLINE __m512i both_grids(void) {
  const __m256i grids = _mm256_load_si256((const __m256i *)ck_half_grids);
  return _mm512_add_epi8(_mm512_broadcast_i64x4(grids), _mm512_set1_epi8(UNSIGNED_BIAS));
}

// Of 16 rows and two halves of a block, as 16-bit numbers side by side in each lane.
typedef struct q4_scales {
  __m512i levels;
  __mmask32 second;  // takes the second grid
} q4_scales;

// Of block 0 or 1 of a unit.
CK_INLINE q4_scales load_q4_scales(const uint8_t *unit, const int block) {
  const __m512i bytes = _mm512_loadu_si512(unit);
  const __m512i first = _mm512_set4_epi32(0x0d800c80, 0x09800880, 0x05800480, 0x01800080);
  const __m512i places = _mm512_or_si512(first, _mm512_set1_epi32(block ? 0x02000200 : 0));
  const __m512i pairs = _mm512_srai_epi16(_mm512_shuffle_epi8(bytes, places), 8);
  // The scale minus 128, as its top bit is flipped: (s & 254) - 127 = (s - 128) | 1.
  return (q4_scales){.levels = _mm512_or_si512(pairs, _mm512_set1_epi16(1)),
                     .second = _mm512_test_epi16_mask(pairs, _mm512_set1_epi16(1))};
}

// The levels of one half as 32-bit numbers.
CK_INLINE __m512i level_of(__m512i levels, const int half) {
  return _mm512_srai_epi32(half == 0 ? _mm512_slli_epi32(levels, 16) : levels, 16);
}

CK_INLINE __m512i load_codes_q8(const uint8_t *codes) {
  return _mm512_xor_si512(_mm512_loadu_si512(codes), _mm512_set1_epi8((char)0x80));
}

CK_INLINE void load_block_q4(const uint8_t *unit, const int block, ck_block *b) {
  const uint8_t *codes = unit + 64 + 256 * block;
  const q4_scales scales = load_q4_scales(unit, block);
  const __m512i table = both_grids(), nibble = _mm512_set1_epi8(15);
  // Bit 4 of the bytes of rows that take the second grid.
  const __m512i second = _mm512_maskz_set1_epi16(scales.second, 0x1010);
  for (int half = 0; half < 2; half++) {
    b->levels[half] = level_of(scales.levels, half);
    const __m512i grid = half == 0
        ? _mm512_mask_blend_epi16(0xaaaaaaaa, second, _mm512_slli_epi32(second, 16))
        : _mm512_mask_blend_epi16(0x55555555, second, _mm512_srli_epi32(second, 16));
    for (int i = 0; i < 2; i++) {
      const __m512i raw = _mm512_loadu_si512(codes + 64 * (2 * half + i));
      const __m512i shifted = _mm512_srli_epi16(raw, 4);
      // (raw & nibble) | grid
      const __m512i low = _mm512_ternarylogic_epi32(raw, nibble, grid, 0xea);
      const __m512i high = _mm512_ternarylogic_epi32(shifted, nibble, grid, 0xea);
      b->codes[4 * half + 2 * i] = _mm512_permutexvar_epi8(low, table);
      b->codes[4 * half + 2 * i + 1] = _mm512_permutexvar_epi8(high, table);
    }
  }
}

CK_INLINE void load_block(const ck_weights *w, ptrdiff_t group, ptrdiff_t block,
                          const int32_t format, ck_block *b) {
  if (format == CK_Q8) {
    const uint8_t *codes = w->codes + (group * w->blocks + block) * 512;
    for (int i = 0; i < 8; i++) b->codes[i] = load_codes_q8(codes + 64 * i);
    return;
  }
  const uint8_t *unit = w->codes + ck_q4_unit(w, group, block / 2);
  if (block % 2 == 0) {
    load_block_q4(unit, 0, b);
  } else {
    load_block_q4(unit, 1, b);
  }
}

// One word in every lane: four columns of a token.
CK_INLINE __m512i everywhere(const void *p) {
  int32_t word;
  memcpy(&word, p, sizeof word);
  return _mm512_set1_epi32(word);
}

CK_INLINE void tile_q4(const ck_block *blocks, const int groups, ck_columns a, const int tokens,
                       v16i dots[][CK_TILE_TOKENS]) {
#pragma clang loop unroll(full)
  for (int half = 0; half < 2; half++) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
      __m512i sums[CK_TILE_GROUPS];
#pragma clang loop unroll(full)
      for (int g = 0; g < groups; g++) {
        sums[g] = everywhere(a.offsets + t * a.sum_stride + half);
      }
#pragma clang loop unroll(full)
      for (int i = 4 * half; i < 4 * half + 4; i++) {
        const __m512i columns = everywhere(a.codes + t * a.stride + 4 * i);
#pragma clang loop unroll(full)
        for (int g = 0; g < groups; g++) {
          const __m512i codes = blocks[g * CK_TILE_BLOCKS].codes[i];
          sums[g] = _mm512_dpbusd_epi32(sums[g], codes, columns);
        }
      }
#pragma clang loop unroll(full)
      for (int g = 0; g < groups; g++) {
        const __m512i scaled =
            _mm512_mullo_epi32(sums[g], blocks[g * CK_TILE_BLOCKS].levels[half]);
        dots[g][t] = half == 0 ? (v16i)scaled : dots[g][t] + (v16i)scaled;
      }
    }
  }
}

// High bytes count 64 times.
CK_INLINE void tile_q8(const ck_block *blocks, const int groups, ck_columns a, const int tokens,
                       v16i dots[][CK_TILE_TOKENS]) {
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) {
    __m512i high[CK_TILE_GROUPS], low[CK_TILE_GROUPS];
#pragma clang loop unroll(full)
    for (int g = 0; g < groups; g++) {
      high[g] = _mm512_setzero_si512();
      low[g] = everywhere(a.offsets + t * a.sum_stride);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++) {
      const int8_t *codes = a.codes + t * a.stride + 4 * i;
      const __m512i high_columns = everywhere(codes), low_columns = everywhere(codes + CK_BLOCK);
#pragma clang loop unroll(full)
      for (int g = 0; g < groups; g++) {
        const __m512i weights = blocks[g * CK_TILE_BLOCKS].codes[i];
        high[g] = _mm512_dpbusd_epi32(high[g], weights, high_columns);
        low[g] = _mm512_dpbusd_epi32(low[g], weights, low_columns);
      }
    }
#pragma clang loop unroll(full)
    for (int g = 0; g < groups; g++) {
      dots[g][t] = (v16i)_mm512_add_epi32(_mm512_slli_epi32(high[g], 6), low[g]);
    }
  }
}

CK_INLINE void dot_tile(const ck_block *blocks, const int groups, ck_columns a, const int tokens,
                        const int32_t format, v16i dots[][CK_TILE_TOKENS]) {
  if (format == CK_Q8) {
    tile_q8(blocks, groups, a, tokens, dots);
  } else {
    tile_q4(blocks, groups, a, tokens, dots);
  }
}

// One token straight from the codes: bits above a code are no matter to the lookup, and the second
// grid comes in with the sums of activations.
CK_INLINE v16i dot_q4(const uint8_t *unit, const int block, ck_columns a) {
  const uint8_t *codes = unit + 64 + 256 * block;
  const q4_scales scales = load_q4_scales(unit, block);
  const __m512i table = first_grid();
  const __m512i missed = _mm512_mask_blend_epi16(
      scales.second, _mm512_set1_epi16(-UNSIGNED_BIAS),
      _mm512_set1_epi16(CK_Q4_HALF_SHIFT - UNSIGNED_BIAS));
  __m512i total = _mm512_dpwssd_epi32(_mm512_setzero_si512(),
                                      _mm512_mullo_epi16(scales.levels, missed),
                                      everywhere(a.sums + 2 * block));
  for (int half = 0; half < 2; half++) {
    __m512i dot = _mm512_setzero_si512();
    for (int i = 0; i < 2; i++) {
      const __m512i raw = _mm512_loadu_si512(codes + 64 * (2 * half + i));
      const __m512i low = _mm512_permutexvar_epi8(raw, table);
      const __m512i high = _mm512_permutexvar_epi8(_mm512_srli_epi16(raw, 4), table);
      const int8_t *columns = a.codes + CK_BLOCK * block + 16 * half + 8 * i;
      dot = _mm512_dpbusd_epi32(dot, low, everywhere(columns));
      dot = _mm512_dpbusd_epi32(dot, high, everywhere(columns + 4));
    }
    total = _mm512_add_epi32(total, _mm512_mullo_epi32(dot, level_of(scales.levels, half)));
  }
  return (v16i)total;
}

CK_INLINE void dot_unit_q4(const uint8_t *unit, ck_columns a, v16i *dots) {
  dots[0] = dot_q4(unit, 0, a);
  dots[1] = dot_q4(unit, 1, a);
}

CK_INLINE v16i dot_one_q8(const uint8_t *codes, ck_columns a) {
  __m512i high = _mm512_setzero_si512(), low = everywhere(a.offsets);
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
    const __m512i weights = load_codes_q8(codes + 64 * i);
    high = _mm512_dpbusd_epi32(high, weights, everywhere(a.codes + 4 * i));
    low = _mm512_dpbusd_epi32(low, weights, everywhere(a.codes + CK_BLOCK + 4 * i));
  }
  return (v16i)_mm512_add_epi32(_mm512_slli_epi32(high, 6), low);
}

#endif
