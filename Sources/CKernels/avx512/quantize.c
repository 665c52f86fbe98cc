// The encoders with AVX-512.
#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,f16c"))), \
    apply_to = function)

#include <immintrin.h>

#define VECTOR_BYTES 64
#include "../quantize/vectors.h"

INLINE v16i multiply_scaled(v16i a, v16i b) {
  return (v16i)_mm512_mulhrs_epi16((__m512i)a, (__m512i)b);
}

INLINE v32i add_products(v32i sum, v16i a, v16i b) {
  return (v32i)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}

INLINE v8i pack(v16i a, v16i b) { return (v8i)_mm512_packs_epi16((__m512i)a, (__m512i)b); }

INLINE v8i pack_unsigned(v16i a, v16i b) {
  return (v8i)_mm512_packus_epi16((__m512i)a, (__m512i)b);
}

INLINE v16i spread_low(v8i x) {
  return (v16i)_mm512_unpacklo_epi8(_mm512_setzero_si512(), (__m512i)x);
}

INLINE v16i spread_high(v8i x) {
  return (v16i)_mm512_unpackhi_epi8(_mm512_setzero_si512(), (__m512i)x);
}

INLINE v8i load_table16(const uint8_t *table) {
  return (v8i)_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
}

INLINE v8i shuffle(v8i table, v8i index) {
  return (v8i)_mm512_shuffle_epi8((__m512i)table, (__m512i)index);
}

INLINE v8i look_up(v8i low, v8i high, v8i index) {
  // One table of 64 bytes, which begins with both.
  const __m512i table = _mm512_shuffle_i64x2((__m512i)low, (__m512i)high, 0x44);
  const __m512i both = _mm512_shuffle_i64x2(table, table, 0xd8);
  return (v8i)_mm512_permutexvar_epi8((__m512i)index, both);
}

INLINE sixteen_i8 table_values(const int8_t *table, sixteen_i8 index) {
  return (sixteen_i8)_mm_shuffle_epi8(
      _mm_loadu_si128((const __m128i *)table), (__m128i)index);
}

#include "../quantize/table.h"

const ck_quantizer ck_avx512_quantizer = CK_QUANTIZER;

#pragma clang attribute pop
#endif
