// Decoding and dot products of quantized blocks with AVX2: two registers hold 16 rows of four
// columns. Products of bytes add up in pairs of 16 bits: |a| * (sign of a) * w is at most
// 127 * 127, so that a pair stays below 2^15 and nothing saturates.
#ifndef CK_AVX2_BLOCKS_H
#define CK_AVX2_BLOCKS_H

#include <immintrin.h>

#include "../shared/grids.h"
#include "../shared/vector.h"
#include "ck_kernels.h"

typedef struct ck_block {
  __m256i codes[8][2];
  __m256i levels[2][2];  // the level of each row twice, as 16-bit numbers
} ck_block;

CK_INLINE __m256i twice(const int8_t *table) {
  return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)table));
}

// The scale bytes of 16 rows, each twice as 16-bit numbers, rows 0 to 7 and 8 to 15.
CK_INLINE void load_scales(const uint8_t *scales, __m256i *pairs) {
  const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)scales));
  const __m256i ordered = _mm256_permute4x64_epi64(wide, 0xd8);
  pairs[0] = _mm256_unpacklo_epi16(ordered, ordered);
  pairs[1] = _mm256_unpackhi_epi16(ordered, ordered);
}

typedef struct q4_scales {
  __m256i levels[2];
  __m256i second[2];  // top bit of each byte: the row takes the second grid
} q4_scales;

CK_INLINE q4_scales load_q4_scales(const uint8_t *scales) {
  __m256i pairs[2];
  q4_scales s;
  load_scales(scales, pairs);
  for (int i = 0; i < 2; i++) {
    s.levels[i] = _mm256_sub_epi16(_mm256_and_si256(pairs[i], _mm256_set1_epi16(254)),
                                   _mm256_set1_epi16(CK_Q4_SCALE_BIAS));
    s.second[i] = _mm256_mullo_epi16(pairs[i], _mm256_set1_epi16((short)0x8080));
  }
  return s;
}

// Grid values of 32 codes in the low nibbles of bytes; the high nibbles are zero.
CK_INLINE __m256i grid_values(__m256i codes, __m256i second) {
  const __m256i a = _mm256_shuffle_epi8(twice(ck_grid_table[0]), codes);
  const __m256i b = _mm256_shuffle_epi8(twice(ck_grid_table[1]), codes);
  return _mm256_blendv_epi8(a, b, second);
}

CK_INLINE __m256i load_codes(const uint8_t *p) {
  return _mm256_loadu_si256((const __m256i *)p);
}

CK_INLINE void load_block_q8(const ck_weights *w, ptrdiff_t group, ptrdiff_t block, ck_block *b) {
  const uint8_t *codes = w->codes + (group * w->blocks + block) * 512;
  for (int i = 0; i < 8; i++) {
    b->codes[i][0] = load_codes(codes + 64 * i);
    b->codes[i][1] = load_codes(codes + 64 * i + 32);
  }
}

CK_INLINE void load_block_q4(const ck_weights *w, ptrdiff_t group, ptrdiff_t block, ck_block *b) {
  const uint8_t *codes = w->codes + (group * w->blocks + block) * 256;
  const uint8_t *scales = w->block_scales + (group * w->blocks + block) * 2 * CK_GROUP;
  const __m256i nibble = _mm256_set1_epi8(15);
  for (int half = 0; half < 2; half++) {
    const q4_scales s = load_q4_scales(scales + half * CK_GROUP);
    for (int rows = 0; rows < 2; rows++) {
      b->levels[half][rows] = s.levels[rows];
      for (int i = 0; i < 2; i++) {
        const __m256i raw = load_codes(codes + 64 * (2 * half + i) + 32 * rows);
        const __m256i shifted = _mm256_srli_epi16(raw, 4);
        b->codes[4 * half + 2 * i][rows] =
            grid_values(_mm256_and_si256(raw, nibble), s.second[rows]);
        b->codes[4 * half + 2 * i + 1][rows] =
            grid_values(_mm256_and_si256(shifted, nibble), s.second[rows]);
      }
    }
  }
}

CK_INLINE void load_block(const ck_weights *w, ptrdiff_t group, ptrdiff_t block,
                          const int32_t format, ck_block *b) {
  if (format == CK_Q8) {
    load_block_q8(w, group, block, b);
  } else {
    load_block_q4(w, group, block, b);
  }
}

// Four columns of one token in every lane.
CK_INLINE __m256i four_columns(const int8_t *a) {
  int32_t word;
  memcpy(&word, a, sizeof word);
  return _mm256_set1_epi32(word);
}

// sum + level * (weights . activations) of eight rows and four columns.
CK_INLINE __m256i dot_step(__m256i sum, __m256i weights, __m256i a, __m256i magnitude,
                           __m256i level) {
  const __m256i products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(weights, a));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(products, level));
}

CK_INLINE v16i joined(__m256i low, __m256i high) {
  typedef int32_t v8i __attribute__((vector_size(32)));
  return __builtin_shufflevector((v8i)low, (v8i)high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                                 13, 14, 15);
}

// One row of codes against a block of q8: high bytes count 64 times.
CK_INLINE v16i dot_q8(const ck_block *b, const int8_t *a) {
  const __m256i many = _mm256_set1_epi16(64), one = _mm256_set1_epi16(1);
  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
    const __m256i high = four_columns(a + 4 * i), low = four_columns(a + CK_BLOCK + 4 * i);
    const __m256i high_magnitude = _mm256_abs_epi8(high), low_magnitude = _mm256_abs_epi8(low);
#pragma clang loop unroll(full)
    for (int rows = 0; rows < 2; rows++) {
      const __m256i codes = b->codes[i][rows];
      sums[rows] = dot_step(sums[rows], codes, high, high_magnitude, many);
      sums[rows] = dot_step(sums[rows], codes, low, low_magnitude, one);
    }
  }
  return joined(sums[0], sums[1]);
}

CK_INLINE void dot_blocks(const ck_block *b, const int8_t *a, ptrdiff_t a_stride,
                          const int32_t *offsets, ptrdiff_t offset_stride, const int tokens,
                          const int32_t format, v16i *dots) {
  (void)offsets, (void)offset_stride;
  if (format == CK_Q8) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) dots[t] = dot_q8(b, a + t * a_stride);
    return;
  }
  __m256i sums[CK_TILE_TOKENS][2];
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) sums[t][0] = sums[t][1] = _mm256_setzero_si256();
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
    const __m256i low = b->codes[i][0], high = b->codes[i][1];
    const __m256i low_level = b->levels[i / 4][0], high_level = b->levels[i / 4][1];
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
      const __m256i columns = four_columns(a + t * a_stride + 4 * i);
      const __m256i magnitude = _mm256_abs_epi8(columns);
      sums[t][0] = dot_step(sums[t][0], low, columns, magnitude, low_level);
      sums[t][1] = dot_step(sums[t][1], high, columns, magnitude, high_level);
    }
  }
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) dots[t] = joined(sums[t][0], sums[t][1]);
}

CK_INLINE v16i dot_one_q4(const ck_weights *w, ptrdiff_t group, ptrdiff_t block,
                          const int8_t *a) {
  const uint8_t *codes = w->codes + (group * w->blocks + block) * 256;
  const uint8_t *scales = w->block_scales + (group * w->blocks + block) * 2 * CK_GROUP;
  const __m256i nibble = _mm256_set1_epi8(15);
  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
#pragma clang loop unroll(full)
  for (int half = 0; half < 2; half++) {
    const q4_scales s = load_q4_scales(scales + half * CK_GROUP);
#pragma clang loop unroll(full)
    for (int i = 0; i < 2; i++) {
      const __m256i first = four_columns(a + 16 * half + 8 * i);
      const __m256i second = four_columns(a + 16 * half + 8 * i + 4);
      const __m256i first_magnitude = _mm256_abs_epi8(first);
      const __m256i second_magnitude = _mm256_abs_epi8(second);
#pragma clang loop unroll(full)
      for (int rows = 0; rows < 2; rows++) {
        const __m256i raw = load_codes(codes + 64 * (2 * half + i) + 32 * rows);
        const __m256i low = grid_values(_mm256_and_si256(raw, nibble), s.second[rows]);
        const __m256i high =
            grid_values(_mm256_and_si256(_mm256_srli_epi16(raw, 4), nibble), s.second[rows]);
        sums[rows] = dot_step(sums[rows], low, first, first_magnitude, s.levels[rows]);
        sums[rows] = dot_step(sums[rows], high, second, second_magnitude, s.levels[rows]);
      }
    }
  }
  return joined(sums[0], sums[1]);
}

CK_INLINE v16i dot_one(const ck_weights *w, ptrdiff_t group, ptrdiff_t block, const int8_t *a,
                       const int32_t *offsets, const int32_t format) {
  (void)offsets;
  if (format == CK_Q4) return dot_one_q4(w, group, block, a);
  ck_block b;
  load_block_q8(w, group, block, &b);
  return dot_q8(&b, a);
}

#endif
