// AVX-512 with VNNI and VBMI: Ice Lake, Zen 4 and later.
#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,f16c"))), \
    apply_to = function)

#include <immintrin.h>

#include "../shared/vector.h"

#define CK_TABLE ck_avx512_kernels
#define CK_TILE_GROUPS 2
#define CK_TILE_TOKENS 4
#define CK_TILE_BLOCKS 16
#define CK_FLOAT_TOKENS 4
#define CK_VALUE_VECTORS 4

CK_INLINE v16f from_f16(const void *p) {
  return (v16f)_mm512_cvtph_ps(_mm256_loadu_si256(p));
}

CK_INLINE void to_f16(void *p, v16f v) {
  _mm256_storeu_si256(p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
}

#include "blocks.h"

#include "../shared/table.h"

#pragma clang attribute pop
#endif
