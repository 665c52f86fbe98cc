// Decoding and dot products of quantized blocks with AVX2: two registers hold 16 rows of four
// columns. Bytes multiply unsigned by signed and add up in pairs of 16 bits, which must not
// saturate:
//
//   q4  halves of grid values + 64 are below 128, so a pair is at most 2 * 127 * 127; what the 64
//       adds is a multiple of the sum of activations and is taken off again
//   q8  widens to 16 bits, even and odd columns apart
#ifndef CK_AVX2_BLOCKS_H
#define CK_AVX2_BLOCKS_H

#include "parts.h"

typedef struct ck_block {
  __m256i codes[8][2];      // q4: halves of grid values + 64; q8: even columns in 16 bits
  __m256i odd_codes[8][2];  // q8
  __m256i levels[2][2];     // q4: of each half of the columns, a row's level twice, 16 bits
  __m256i mend[2];          // q4: -64 * level of both halves, 16 bits
} ck_block;

// sum + level * (weights . activations) of eight rows and four columns.
CK_INLINE __m256i dot_step(__m256i sum, __m256i positive, __m256i other, __m256i level) {
  const __m256i products = _mm256_maddubs_epi16(positive, other);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(products, level));
}

// ---- q4 ----

CK_INLINE void load_block_q4(const uint8_t *unit, const int block, ck_block *b) {
  const uint8_t *codes = unit + 64 + 256 * block;
  for (int rows = 0; rows < 2; rows++) {
    const q4_scales s = load_q4_scales(unit, rows, block);
    b->mend[rows] = _mm256_mullo_epi16(s.both, _mm256_set1_epi16(-UNSIGNED_BIAS));
    for (int half = 0; half < 2; half++) {
      b->levels[half][rows] = s.levels[half];
      const __m256i shift = grid_shift(s.second, half);
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

// One token straight from the codes: the second grid comes in with the mend.
CK_INLINE v16i dot_q4(const uint8_t *unit, const int block, ck_columns a) {
  const uint8_t *codes = unit + 64 + 256 * block;
  const int8_t *columns = a.codes + CK_BLOCK * block;
  __m256i sums[2], levels[2][2];
  for (int rows = 0; rows < 2; rows++) {
    const q4_scales s = load_q4_scales(unit, rows, block);
    sums[rows] = _mm256_madd_epi16(missed(s), everywhere(a.sums + 2 * block));
    levels[0][rows] = s.levels[0];
    levels[1][rows] = s.levels[1];
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; i++) {
    const __m256i first = everywhere(columns + 8 * i), second = everywhere(columns + 8 * i + 4);
#pragma clang loop unroll(full)
    for (int rows = 0; rows < 2; rows++) {
      const __m256i raw = load_32(codes + 64 * i + 32 * rows), level = levels[i / 2][rows];
      sums[rows] = dot_step(sums[rows], grid_values(low_nibbles(raw)), first, level);
      sums[rows] = dot_step(sums[rows], grid_values(high_nibbles(raw)), second, level);
    }
  }
  return joined(sums[0], sums[1]);
}

CK_INLINE void dot_unit_q4(const uint8_t *unit, ck_columns a, v16i *dots) {
  dots[0] = dot_q4(unit, 0, a);
  dots[1] = dot_q4(unit, 1, a);
}

// ---- q8 ----

// Columns 0 and 2 of each word in 16 bits, and columns 1 and 3.
CK_INLINE __m256i even_columns(__m256i raw) {
  return _mm256_srai_epi16(_mm256_slli_epi16(raw, 8), 8);
}

CK_INLINE __m256i odd_columns(__m256i raw) { return _mm256_srai_epi16(raw, 8); }

CK_INLINE __m256i add_products(__m256i sum, __m256i codes, const int8_t *columns) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(codes, everywhere(columns)));
}

CK_INLINE v16i dot_one_q8(const uint8_t *codes, ck_columns a) {
  __m256i even[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  __m256i odd[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
#pragma clang loop unroll(full)
    for (int rows = 0; rows < 2; rows++) {
      const __m256i raw = load_32(codes + 64 * i + 32 * rows);
      even[rows] = add_products(even[rows], even_columns(raw), a.codes + 8 * i);
      odd[rows] = add_products(odd[rows], odd_columns(raw), a.codes + 8 * i + 4);
    }
  }
  return joined(_mm256_add_epi32(even[0], odd[0]), _mm256_add_epi32(even[1], odd[1]));
}

// Codes in 16 bits; of four columns first the even and then the odd ones.
CK_INLINE void store_fine(int8_t *codes, v16i first, v16i second) {
  typedef int16_t v16s __attribute__((vector_size(32)));
  const v16s halves[2] = {__builtin_convertvector(first, v16s),
                          __builtin_convertvector(second, v16s)};
  for (int half = 0; half < 2; half++) {
    const v16s ordered = __builtin_shufflevector(halves[half], halves[half], 0, 2, 1, 3, 4, 6, 5,
                                                 7, 8, 10, 9, 11, 12, 14, 13, 15);
    memcpy(codes + 32 * half, &ordered, sizeof ordered);
  }
}

// ---- both ----

CK_INLINE void load_block(const ck_weights *w, ptrdiff_t group, ptrdiff_t block,
                          const int32_t format, ck_block *b) {
  if (format == CK_Q8) {
    const uint8_t *codes = w->codes + (group * w->blocks + block) * 512;
    for (int i = 0; i < 8; i++) {
      for (int rows = 0; rows < 2; rows++) {
        const __m256i raw = load_32(codes + 64 * i + 32 * rows);
        b->codes[i][rows] = even_columns(raw);
        b->odd_codes[i][rows] = odd_columns(raw);
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

CK_INLINE void dot_tile(const ck_block *b, const int groups, ck_columns a, const int tokens,
                        const int32_t format, v16i dots[][CK_TILE_TOKENS]) {
  (void)groups;
  __m256i sums[CK_TILE_TOKENS][2];
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) {
#pragma clang loop unroll(full)
    for (int rows = 0; rows < 2; rows++) {
      sums[t][rows] = format == CK_Q8 ? _mm256_setzero_si256()
                                      : _mm256_madd_epi16(b->mend[rows],
                                                          everywhere(a.sums + t * a.sum_stride));
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
      const int8_t *columns = a.codes + t * a.stride;
#pragma clang loop unroll(full)
      for (int rows = 0; rows < 2; rows++) {
        const __m256i codes = b->codes[i][rows];
        if (format == CK_Q8) {
          sums[t][rows] = add_products(sums[t][rows], codes, columns + 8 * i);
          sums[t][rows] = add_products(sums[t][rows], b->odd_codes[i][rows], columns + 8 * i + 4);
        } else {
          sums[t][rows] =
              dot_step(sums[t][rows], codes, everywhere(columns + 4 * i), b->levels[i / 4][rows]);
        }
      }
    }
  }
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) dots[0][t] = joined(sums[t][0], sums[t][1]);
}

#endif
