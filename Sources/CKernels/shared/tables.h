// The tables of all instruction sets that this build has.
#ifndef CK_TABLES_H
#define CK_TABLES_H

#include "ck_kernels.h"

extern const ck_kernels ck_reference_kernels;
#if defined(__x86_64__)
extern const ck_kernels ck_avx2_kernels;
extern const ck_kernels ck_avxvnni_kernels;
extern const ck_kernels ck_avxvnni_evex_kernels;
extern const ck_kernels ck_avx512_kernels;
#endif
#if defined(__aarch64__)
extern const ck_kernels ck_neon_kernels;
#endif

#endif
