// The same instructions as AVX-512 has them, for processors that lack the shorter ones.
#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512vl,avx512vnni"))), apply_to = function)

#define CK_TABLE ck_avxvnni_evex_kernels
#define CK_DPBUSD _mm256_dpbusd_epi32

#include "kernels.h"

#pragma clang attribute pop
#endif
