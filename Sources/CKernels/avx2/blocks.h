// Decoding and dot products of quantized blocks with AVX2: two registers hold 16 rows of four
// columns. Bytes multiply unsigned by signed and add up in pairs of 16 bits, which must not
// saturate:
//
//   q4  one token: halves of grid values + 64 are below 128, so a pair is at most 2 * 127 * 127;
//       what the 64 adds is a multiple of the sum of activations and is taken off again
//       several: halves of grid values are at most 61 in magnitude and activations + 128 at most
//       255, so a pair is at most 2 * 61 * 255; what the 128 adds is known of the weights
//   q8  widens to 16 bits, even and odd columns apart
#ifndef CK_AVX2_BLOCKS_H
#define CK_AVX2_BLOCKS_H

#include "parts.h"

typedef struct ck_block {
  __m256i codes[8][2];      // q4: halves of grid values; q8: even columns in 16 bits
  __m256i odd_codes[8][2];  // q8
  __m256i mend[4][2];       // q4: -128 times the sum of two columns and of two four further
  __m256i levels[2][2];     // q4: of each half of the columns, a row's level twice, 16 bits
} ck_block;

// sum + level * (weights . activations) of eight rows and four columns.
CK_INLINE __m256i dot_step(__m256i sum, __m256i positive, __m256i other, __m256i level) {
  const __m256i products = _mm256_maddubs_epi16(positive, other);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(products, level));
}

// ---- q4 ----

CK_INLINE void load_block_q4(const uint8_t *unit, const int block, ck_block *b) {
  const uint8_t *codes = unit + 64 + 256 * block;
  const __m256i raise = _mm256_set1_epi8((char)0x80);
  for (int rows = 0; rows < 2; rows++) {
    const q4_scales s = load_q4_scales(unit, rows, block);
    for (int half = 0; half < 2; half++) {
      b->levels[half][rows] = s.levels[half];
      const __m256i shift =
          _mm256_sub_epi8(grid_shift(s.second, half), _mm256_set1_epi8(UNSIGNED_BIAS));
      for (int i = 2 * half; i < 2 * half + 2; i++) {
        const __m256i raw = load_32(codes + 64 * i + 32 * rows);
        const __m256i low = _mm256_add_epi8(grid_values(low_nibbles(raw)), shift);
        const __m256i high = _mm256_add_epi8(grid_values(high_nibbles(raw)), shift);
        b->codes[2 * i][rows] = low;
        b->codes[2 * i + 1][rows] = high;
        const __m256i raised = _mm256_add_epi16(_mm256_maddubs_epi16(raise, low),
                                                _mm256_maddubs_epi16(raise, high));
        b->mend[i][rows] = _mm256_sub_epi16(_mm256_setzero_si256(), raised);
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

// One step of eight columns: sums of eight rows and several tokens.
//
// Activations + 128 with signed weights: two pairs of products and what mends them add up modulo
// 2^16 to four products of at most 61 * 127 each, so no bit is lost.
CK_INLINE void step_q4(const ck_block *block, const int rows, const int i, const uint8_t *raised,
                       ptrdiff_t stride, const int tokens, __m256i *dots) {
  __m256i first = block->codes[2 * i][rows], second = block->codes[2 * i + 1][rows];
  __m256i mend = block->mend[i][rows], level = block->levels[i / 2][rows];
  // Pins the order of the steps: all tokens with what the registers hold.
  __asm__ volatile("" : "+x"(first), "+x"(second), "+x"(mend), "+x"(level));
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) {
    const uint8_t *columns = raised + t * stride + 8 * i;
    const __m256i one = _mm256_maddubs_epi16(everywhere(columns), first);
    const __m256i two = _mm256_maddubs_epi16(everywhere(columns + 4), second);
    const __m256i four = _mm256_add_epi16(_mm256_add_epi16(one, mend), two);
    const __m256i scaled = _mm256_madd_epi16(four, level);
    dots[t] = i == 0 ? scaled : _mm256_add_epi32(dots[t], scaled);
    __asm__ volatile("" : "+x"(dots[t]));
  }
}

// A tile of q4, eight rows after the other; the floats of all tokens would not fit in registers.
CK_INLINE void tile_q4(const ck_product *p, const ck_block *blocks, ptrdiff_t first_block,
                       ptrdiff_t count, ptrdiff_t token, const int tokens, float *sums) {
  const ck_activations *q = &p->quantized;
  const ptrdiff_t stride = q->code_stride, scale_stride = q->blocks;
  const float *scales = q->scales + token * scale_stride + first_block;
  const uint8_t *raised = q->raised_codes + token * stride + first_block * CK_BLOCK;
  for (int rows = 0; rows < 2; rows++, sums += 8) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens && first_block == 0; t++) {
      _mm256_storeu_ps(sums + t * CK_GROUP, _mm256_setzero_ps());
    }
    for (ptrdiff_t b = 0; b < count; b++) {
      __m256i dots[CK_TILE_TOKENS];
#pragma clang loop unroll(full)
      for (int i = 0; i < 4; i++) {
        step_q4(blocks + b, rows, i, raised + b * CK_BLOCK, stride, tokens, dots);
      }
#pragma clang loop unroll(full)
      for (int t = 0; t < tokens; t++) {
        float *sum = sums + t * CK_GROUP;
        const __m256 scale = _mm256_broadcast_ss(scales + t * scale_stride + b);
        _mm256_storeu_ps(sum, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t]), scale,
                                              _mm256_loadu_ps(sum)));
      }
    }
  }
}

// Four tokens of q8: more do not fit in registers.
CK_INLINE void four_q8(const ck_block *b, ck_columns a, const int tokens, v16i dots[]) {
  __m256i sums[4][2];
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) sums[t][0] = sums[t][1] = _mm256_setzero_si256();
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
      const int8_t *columns = a.codes + t * a.stride + 8 * i;
#pragma clang loop unroll(full)
      for (int rows = 0; rows < 2; rows++) {
        sums[t][rows] = add_products(sums[t][rows], b->codes[i][rows], columns);
        sums[t][rows] = add_products(sums[t][rows], b->odd_codes[i][rows], columns + 4);
      }
    }
  }
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) dots[t] = joined(sums[t][0], sums[t][1]);
}

// Of q8; q4 has a tile of its own.
CK_INLINE void dot_tile(const ck_block *b, const int groups, ck_columns a, const int tokens,
                        const int32_t format, v16i dots[][CK_TILE_TOKENS]) {
  (void)groups;
  (void)format;
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t += 4) {
    four_q8(b, a, tokens - t < 4 ? tokens - t : 4, dots[0] + t);
    a.codes += 4 * a.stride;
  }
}

#endif
