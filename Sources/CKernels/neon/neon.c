// NEON with dot products of bytes: ARMv8.2 with that extension, Apple M1 and later.
#if defined(__aarch64__)

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#include <arm_neon.h>

#include "../shared/vector.h"

#define CK_TABLE ck_neon_kernels
#define CK_TILE_GROUPS 1
#define CK_TILE_TOKENS 4
#define CK_TILE_BLOCKS 32
#define CK_FLOAT_TOKENS 1
#define CK_VALUE_VECTORS 1

CK_INLINE v16f from_f16(const void *p) {
  float32x4_t parts[4];
  for (int i = 0; i < 4; i++) {
    parts[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)p + 4 * i)));
  }
  v16f v;
  memcpy(&v, parts, sizeof v);
  return v;
}

CK_INLINE void to_f16(void *p, v16f v) {
  float32x4_t parts[4];
  memcpy(parts, &v, sizeof v);
  for (int i = 0; i < 4; i++) {
    vst1_u16((uint16_t *)p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(parts[i])));
  }
}

#include "blocks.h"

#include "../shared/table.h"

#pragma clang attribute pop
#endif
