// What the kernels of 256 bits share: the codes and scales of q4.
#ifndef CK_AVX2_PARTS_H
#define CK_AVX2_PARTS_H

#include <immintrin.h>

#include "../layout/layout.h"
#include "../shared/grids.h"
#include "../shared/vector.h"
#include "ck_kernels.h"

// Added to halves of grid values, which makes them unsigned.
enum { UNSIGNED_BIAS = 64 };

CK_INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }

// One word in every lane.
CK_INLINE __m256i everywhere(const void *p) {
  int32_t word;
  memcpy(&word, p, sizeof word);
  return _mm256_set1_epi32(word);
}

CK_INLINE v16i joined(__m256i low, __m256i high) {
  typedef int32_t v8i __attribute__((vector_size(32)));
  return __builtin_shufflevector((v8i)low, (v8i)high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                                 13, 14, 15);
}

// Of eight rows and one block: levels of both halves side by side, and of each half twice.
typedef struct q4_scales {
  __m256i both;
  __m256i levels[2];
  __m256i second;  // one where the half takes the second grid
} q4_scales;

// Of rows 0 to 7 or 8 to 15 and block 0 or 1 of a unit.
CK_INLINE q4_scales load_q4_scales(const uint8_t *unit, const int rows, const int block) {
  const __m256i bytes = load_32(unit + 32 * rows);
  const __m256i places = _mm256_broadcastsi128_si256(_mm_setr_epi32(
      0x01800080 + block * 0x02000200, 0x05800480 + block * 0x02000200,
      0x09800880 + block * 0x02000200, 0x0d800c80 + block * 0x02000200));
  const __m256i pairs = _mm256_srai_epi16(_mm256_shuffle_epi8(bytes, places), 8);
  // The scale minus 128, as its top bit is flipped: (s & 254) - 127 = (s - 128) | 1.
  const __m256i both = _mm256_or_si256(pairs, _mm256_set1_epi16(1));
  const __m256i first = _mm256_broadcastsi128_si256(
      _mm_setr_epi32(0x01000100, 0x05040504, 0x09080908, 0x0d0c0d0c));
  const __m256i other = _mm256_broadcastsi128_si256(
      _mm_setr_epi32(0x03020302, 0x07060706, 0x0b0a0b0a, 0x0f0e0f0e));
  return (q4_scales){
      .both = both,
      .levels = {_mm256_shuffle_epi8(both, first), _mm256_shuffle_epi8(both, other)},
      .second = _mm256_and_si256(pairs, _mm256_set1_epi16(1))};
}

CK_INLINE __m256i low_nibbles(__m256i raw) {
  return _mm256_and_si256(raw, _mm256_set1_epi8(15));
}

CK_INLINE __m256i high_nibbles(__m256i raw) { return low_nibbles(_mm256_srli_epi16(raw, 4)); }

// Halves of values of the first grid, unsigned.
CK_INLINE __m256i grid_values(__m256i codes) {
  const __m128i grid = _mm_load_si128((const __m128i *)ck_half_grids[0]);
  const __m256i table = _mm256_add_epi8(_mm256_broadcastsi128_si256(grid),
                                        _mm256_set1_epi8(UNSIGNED_BIAS));
  return _mm256_shuffle_epi8(table, codes);
}

// The shift to the second grid in every byte of the rows that take it in a half of the columns.
CK_INLINE __m256i grid_shift(__m256i second, const int half) {
  const __m256i shifts = _mm256_mullo_epi16(second, _mm256_set1_epi16(CK_Q4_HALF_SHIFT * 0x0101));
  return half == 0 ? _mm256_blend_epi16(shifts, _mm256_slli_epi32(shifts, 16), 0xaa)
                   : _mm256_blend_epi16(shifts, _mm256_srli_epi32(shifts, 16), 0x55);
}

// What halves of grid values of the first grid, unsigned, lack of the right ones, times the levels:
// to multiply with the sums of activations.
CK_INLINE __m256i missed(q4_scales s) {
  const __m256i values =
      _mm256_sub_epi16(_mm256_mullo_epi16(s.second, _mm256_set1_epi16(CK_Q4_HALF_SHIFT)),
                       _mm256_set1_epi16(UNSIGNED_BIAS));
  return _mm256_mullo_epi16(s.both, values);
}

#endif
