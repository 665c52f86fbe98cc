// Conversions of f16 in 256 bits, by F16C.
#ifndef CK_AVX2_HALVES_H
#define CK_AVX2_HALVES_H

#include <immintrin.h>

#include "../shared/vector.h"

CK_INLINE v16f from_f16(const void *p) {
  typedef float v8f __attribute__((vector_size(32)));
  const v8f low = (v8f)_mm256_cvtph_ps(_mm_loadu_si128(p));
  const v8f high = (v8f)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p + 1));
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                 15);
}

CK_INLINE void to_f16(void *p, v16f v) {
  typedef float v8f __attribute__((vector_size(32)));
  const v8f low = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
  const v8f high = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  _mm_storeu_si128(p, _mm256_cvtps_ph((__m256)low, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128((__m128i *)p + 1, _mm256_cvtps_ph((__m256)high, _MM_FROUND_TO_NEAREST_INT));
}

#endif
