// AVX2 with AVX-VNNI: Alder Lake, Zen 5 and later.
#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)

#define CK_TABLE ck_avxvnni_kernels
#define CK_DPBUSD _mm256_dpbusd_avx_epi32

#include "kernels.h"

#pragma clang attribute pop
#endif
