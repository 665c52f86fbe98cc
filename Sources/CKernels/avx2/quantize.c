// The encoders with AVX2.
#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
// All functions that take or give vectors are inlined, so how they would be passed is no matter.
#pragma clang diagnostic ignored "-Wpsabi"

#include <immintrin.h>

#define VECTOR_BYTES 32
#include "../quantize/vectors.h"

INLINE v16i multiply_scaled(v16i a, v16i b) {
  return (v16i)_mm256_mulhrs_epi16((__m256i)a, (__m256i)b);
}

INLINE v32i add_products(v32i sum, v16i a, v16i b) {
  return sum + (v32i)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}

INLINE v8i pack(v16i a, v16i b) { return (v8i)_mm256_packs_epi16((__m256i)a, (__m256i)b); }

INLINE v8i pack_unsigned(v16i a, v16i b) {
  return (v8i)_mm256_packus_epi16((__m256i)a, (__m256i)b);
}

INLINE v16i spread_low(v8i x) {
  return (v16i)_mm256_unpacklo_epi8(_mm256_setzero_si256(), (__m256i)x);
}

INLINE v16i spread_high(v8i x) {
  return (v16i)_mm256_unpackhi_epi8(_mm256_setzero_si256(), (__m256i)x);
}

INLINE v8i load_table16(const uint8_t *table) {
  return (v8i)_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}

INLINE v8i shuffle(v8i table, v8i index) {
  return (v8i)_mm256_shuffle_epi8((__m256i)table, (__m256i)index);
}

INLINE v8i look_up(v8i low, v8i high, v8i index) {
  // Of 16 and more the first gives zero, of less than 16 the second.
  return shuffle(low, index + 112) | shuffle(high, index - 16);
}

INLINE sixteen_i8 table_values(const int8_t *table, sixteen_i8 index) {
  return (sixteen_i8)_mm_shuffle_epi8(
      _mm_loadu_si128((const __m128i *)table), (__m128i)index);
}

#include "../quantize/table.h"

const ck_quantizer ck_avx2_quantizer = CK_QUANTIZER;

#pragma clang attribute pop
#endif
