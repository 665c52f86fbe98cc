// Decoding and dot products of quantized blocks with AVX-VNNI: two registers hold 16 rows of four
// columns. Weights count as unsigned, +128 in q8 and +64 in q4; multiples of the sums of
// activations undo that.
#ifndef CK_AVXVNNI_BLOCKS_H
#define CK_AVXVNNI_BLOCKS_H

#include "../avx2/parts.h"
#include "../shared/fine.h"

typedef struct ck_block {
  __m256i codes[8][2];
  __m256i levels[2][2];  // q4: of each half of the columns
} ck_block;

// The levels of one half as 32-bit numbers.
CK_INLINE __m256i level_of(__m256i both, const int half) {
  return _mm256_srai_epi32(half == 0 ? _mm256_slli_epi32(both, 16) : both, 16);
}

CK_INLINE __m256i load_codes_q8(const uint8_t *codes) {
  return _mm256_xor_si256(load_32(codes), _mm256_set1_epi8((char)0x80));
}

CK_INLINE void load_block_q4(const uint8_t *unit, const int block, ck_block *b) {
  const uint8_t *codes = unit + 64 + 256 * block;
  for (int rows = 0; rows < 2; rows++) {
    const q4_scales s = load_q4_scales(unit, rows, block);
    for (int half = 0; half < 2; half++) {
      const __m256i shift = grid_shift(s.second, half);
      b->levels[half][rows] = level_of(s.both, half);
      for (int i = 0; i < 2; i++) {
        const __m256i raw = load_32(codes + 64 * (2 * half + i) + 32 * rows);
        b->codes[4 * half + 2 * i][rows] =
            _mm256_add_epi8(grid_values(low_nibbles(raw)), shift);
        b->codes[4 * half + 2 * i + 1][rows] =
            _mm256_add_epi8(grid_values(high_nibbles(raw)), shift);
      }
    }
  }
}

CK_INLINE void load_block(const ck_weights *w, ptrdiff_t group, ptrdiff_t block,
                          const int32_t format, ck_block *b) {
  if (format == CK_Q8) {
    const uint8_t *codes = w->codes + (group * w->blocks + block) * 512;
    for (int i = 0; i < 8; i++) {
      for (int rows = 0; rows < 2; rows++) {
        b->codes[i][rows] = load_codes_q8(codes + 64 * i + 32 * rows);
      }
    }
    return;
  }
  const uint8_t *unit = w->codes + ck_q4_unit(w, group, block / 2);
  if (block % 2 == 0) {
    load_block_q4(unit, 0, b);
  } else {
    load_block_q4(unit, 1, b);
  }
}

CK_INLINE v16i tile_q4(const ck_block *b, ck_columns a, const int t) {
  __m256i total[2];
#pragma clang loop unroll(full)
  for (int half = 0; half < 2; half++) {
    __m256i sums[2];
    sums[0] = sums[1] = everywhere(a.offsets + t * a.sum_stride + half);
#pragma clang loop unroll(full)
    for (int i = 4 * half; i < 4 * half + 4; i++) {
      const __m256i columns = everywhere(a.codes + t * a.stride + 4 * i);
      sums[0] = CK_DPBUSD(sums[0], b->codes[i][0], columns);
      sums[1] = CK_DPBUSD(sums[1], b->codes[i][1], columns);
    }
#pragma clang loop unroll(full)
    for (int rows = 0; rows < 2; rows++) {
      const __m256i scaled = _mm256_mullo_epi32(sums[rows], b->levels[half][rows]);
      total[rows] = half == 0 ? scaled : _mm256_add_epi32(total[rows], scaled);
    }
  }
  return joined(total[0], total[1]);
}

// High bytes count 64 times.
CK_INLINE v16i sum_q8(__m256i *high, __m256i *low) {
  return joined(_mm256_add_epi32(_mm256_slli_epi32(high[0], 6), low[0]),
                _mm256_add_epi32(_mm256_slli_epi32(high[1], 6), low[1]));
}

CK_INLINE v16i tile_q8(const ck_block *b, ck_columns a, const int t) {
  __m256i high[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()}, low[2];
  low[0] = low[1] = everywhere(a.offsets + t * a.sum_stride);
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
    const int8_t *codes = a.codes + t * a.stride + 4 * i;
    const __m256i high_columns = everywhere(codes), low_columns = everywhere(codes + CK_BLOCK);
#pragma clang loop unroll(full)
    for (int rows = 0; rows < 2; rows++) {
      high[rows] = CK_DPBUSD(high[rows], b->codes[i][rows], high_columns);
      low[rows] = CK_DPBUSD(low[rows], b->codes[i][rows], low_columns);
    }
  }
  return sum_q8(high, low);
}

CK_INLINE void dot_tile(const ck_block *b, const int groups, ck_columns a, const int tokens,
                        const int32_t format, v16i dots[][CK_TILE_TOKENS]) {
  (void)groups;
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) {
    dots[0][t] = format == CK_Q8 ? tile_q8(b, a, t) : tile_q4(b, a, t);
  }
}

// One token straight from the codes: the second grid comes in with the sums of activations.
CK_INLINE v16i dot_q4(const uint8_t *unit, const int block, ck_columns a) {
  const uint8_t *codes = unit + 64 + 256 * block;
  const int8_t *columns = a.codes + CK_BLOCK * block;
  __m256i total[2];
#pragma clang loop unroll(full)
  for (int rows = 0; rows < 2; rows++) {
    const q4_scales s = load_q4_scales(unit, rows, block);
    total[rows] = _mm256_madd_epi16(missed(s), everywhere(a.sums + 2 * block));
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; half++) {
      __m256i sum = _mm256_setzero_si256();
#pragma clang loop unroll(full)
      for (int i = 2 * half; i < 2 * half + 2; i++) {
        const __m256i raw = load_32(codes + 64 * i + 32 * rows);
        sum = CK_DPBUSD(sum, grid_values(low_nibbles(raw)), everywhere(columns + 8 * i));
        sum = CK_DPBUSD(sum, grid_values(high_nibbles(raw)), everywhere(columns + 8 * i + 4));
      }
      const __m256i scaled = _mm256_mullo_epi32(sum, level_of(s.both, half));
      total[rows] = _mm256_add_epi32(total[rows], scaled);
    }
  }
  return joined(total[0], total[1]);
}

CK_INLINE void dot_unit_q4(const uint8_t *unit, ck_columns a, v16i *dots) {
  dots[0] = dot_q4(unit, 0, a);
  dots[1] = dot_q4(unit, 1, a);
}

CK_INLINE v16i dot_one_q8(const uint8_t *codes, ck_columns a) {
  __m256i high[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()}, low[2];
  low[0] = low[1] = everywhere(a.offsets);
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
    const __m256i high_columns = everywhere(a.codes + 4 * i);
    const __m256i low_columns = everywhere(a.codes + CK_BLOCK + 4 * i);
#pragma clang loop unroll(full)
    for (int rows = 0; rows < 2; rows++) {
      const __m256i weights = load_codes_q8(codes + 64 * i + 32 * rows);
      high[rows] = CK_DPBUSD(high[rows], weights, high_columns);
      low[rows] = CK_DPBUSD(low[rows], weights, low_columns);
    }
  }
  return sum_q8(high, low);
}

#endif
