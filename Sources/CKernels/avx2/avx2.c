// AVX2 with FMA and F16C: Haswell, Zen and later.
#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

// All functions that take or give vectors are inlined, so how they would be passed is no matter.
#pragma clang diagnostic ignored "-Wpsabi"

#define CK_TABLE ck_avx2_kernels
#define CK_TILE_GROUPS 1
#define CK_TILE_TOKENS 8
#define CK_TILE_BLOCKS 16
#define CK_RAISED_CODES
#define CK_FLOAT_TOKENS 2
#define CK_VALUE_VECTORS 1

#include "blocks.h"
#include "halves.h"

#include "../shared/table.h"

#pragma clang attribute pop
#endif
