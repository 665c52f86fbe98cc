// The encoders with NEON.
#if defined(__aarch64__)

#pragma STDC FP_CONTRACT OFF

#include <arm_neon.h>

#define VECTOR_BYTES 16
#include "../quantize/vectors.h"

INLINE v16i multiply_scaled(v16i a, v16i b) {
  return (v16i)vqrdmulhq_s16((int16x8_t)a, (int16x8_t)b);
}

INLINE v32i add_products(v32i sum, v16i a, v16i b) {
  const int32x4_t low = vmull_s16(vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b));
  const int32x4_t high = vmull_high_s16((int16x8_t)a, (int16x8_t)b);
  return sum + (v32i)vpaddq_s32(low, high);
}

INLINE v8i pack(v16i a, v16i b) {
  return (v8i)vcombine_s8(vqmovn_s16((int16x8_t)a), vqmovn_s16((int16x8_t)b));
}

INLINE v8i pack_unsigned(v16i a, v16i b) {
  return (v8i)vcombine_u8(vqmovun_s16((int16x8_t)a), vqmovun_s16((int16x8_t)b));
}

INLINE v16i spread_low(v8i x) { return (v16i)vzip1q_s8(vdupq_n_s8(0), (int8x16_t)x); }

INLINE v16i spread_high(v8i x) { return (v16i)vzip2q_s8(vdupq_n_s8(0), (int8x16_t)x); }

INLINE v8i load_table16(const uint8_t *table) { return (v8i)vld1q_u8(table); }

INLINE v8i shuffle(v8i table, v8i index) {
  return (v8i)vqtbl1q_s8((int8x16_t)table, (uint8x16_t)index);
}

INLINE v8i look_up(v8i low, v8i high, v8i index) {
  const int8x16x2_t both = {{(int8x16_t)low, (int8x16_t)high}};
  return (v8i)vqtbl2q_s8(both, (uint8x16_t)index);
}

INLINE sixteen_i8 table_values(const int8_t *table, sixteen_i8 index) {
  return (sixteen_i8)vqtbl1q_s8(vld1q_s8(table), (uint8x16_t)index);
}

#include "../quantize/table.h"

const ck_quantizer ck_neon_quantizer = CK_QUANTIZER;

#endif
