// Conversions. The instruction set's file defines before:
//   v16f from_f16(const void *p)       16 halves to floats
//   void to_f16(void *p, v16f v)       rounds to nearest, ties to even
#ifndef CK_CONVERT_H
#define CK_CONVERT_H

#include "../reference/reference.h"
#include "constants.h"
#include "vector.h"

CK_INLINE v16f from_bf16(const void *p) {
  v16h halves;
  memcpy(&halves, p, sizeof halves);
  return (v16f)(__builtin_convertvector(halves, v16i) << 16);
}

CK_INLINE void to_bf16(void *p, v16f v) {
  const v16i bits = (v16i)v;
  const v16i rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const v16i is_nan = (bits & 0x7fffffff) > CK_INFINITY_BITS;
  const v16i quiet = (bits >> 16) | 0x40;
  const v16i chosen = (is_nan & quiet) | (~is_nan & rounded);
  const v16h halves = __builtin_convertvector(chosen & 0xffff, v16h);
  memcpy(p, &halves, sizeof halves);
}

static void f16_to_f32(const void *source, float *target, ptrdiff_t n) {
  const uint16_t *from = source;
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) store(target + i, from_f16(from + i));
  ck_ref_f16_to_f32(from + i, target + i, n - i);
}

static void bf16_to_f32(const void *source, float *target, ptrdiff_t n) {
  const uint16_t *from = source;
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) store(target + i, from_bf16(from + i));
  ck_ref_bf16_to_f32(from + i, target + i, n - i);
}

static void f32_to_f16(const float *source, void *target, ptrdiff_t n) {
  uint16_t *to = target;
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) to_f16(to + i, load(source + i));
  ck_ref_f32_to_f16(source + i, to + i, n - i);
}

static void f32_to_bf16(const float *source, void *target, ptrdiff_t n) {
  uint16_t *to = target;
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) to_bf16(to + i, load(source + i));
  ck_ref_f32_to_bf16(source + i, to + i, n - i);
}

static int32_t all_finite(const float *source, ptrdiff_t n) {
  v16i finite = lanes_from(0) < 16;
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) {
    finite &= ((v16i)load(source + i) & 0x7fffffff) < CK_INFINITY_BITS;
  }
  return __builtin_reduce_and(finite) != 0 && ck_ref_all_finite(source + i, n - i);
}

// Reads whole cache lines in the order of memory, which one core does fastest, so that memory is
// the limit.
static uint64_t read_all(const void *source, ptrdiff_t bytes) {
  v16i sums[4] = {{0}, {0}, {0}, {0}};
  const uint8_t *from = source;
  ptrdiff_t i = 0;
  // Unrolled further, loads would be put into another order.
#pragma clang loop unroll(disable)
  for (; i + 256 <= bytes; i += 256) {
    for (int j = 0; j < 4; j++) {
      v16i v;
      memcpy(&v, from + i + 64 * j, sizeof v);
      sums[j] ^= v;
    }
  }
  const v16i all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  return (uint64_t)(uint32_t)__builtin_reduce_xor(all) + ck_ref_read(from + i, bytes - i);
}

#endif
