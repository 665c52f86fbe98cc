// A virtual vector of 16 lanes: one register of AVX-512, two of AVX2, four of NEON. The file of an
// instruction set includes this and the kernels written with it after it has chosen its target;
// each operation is one IEEE operation per lane, so all sets give the same bits.
#ifndef CK_VECTOR_H
#define CK_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float v16f __attribute__((vector_size(64)));
typedef int32_t v16i __attribute__((vector_size(64)));
typedef int8_t v16c __attribute__((vector_size(16)));
typedef uint16_t v16h __attribute__((vector_size(32)));
typedef double v16d __attribute__((vector_size(128)));

// The activations of one block of 32 columns, and the strides to those of the next tokens.
typedef struct ck_columns {
  int8_t *codes;
  int16_t *sums;
  int32_t *offsets;
  ptrdiff_t stride;
  ptrdiff_t sum_stride;
} ck_columns;

#define CK_INLINE static inline __attribute__((always_inline))

CK_INLINE v16f splat(float x) {
  return (v16f){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

// Writes 16 numbers that fit as bytes.
CK_INLINE void store_bytes(int8_t *p, v16i v) {
  const v16c bytes = __builtin_convertvector(v, v16c);
  memcpy(p, &bytes, sizeof bytes);
}

CK_INLINE v16f load(const float *p) {
  v16f v;
  memcpy(&v, p, sizeof v);
  return v;
}

CK_INLINE void store(float *p, v16f v) { memcpy(p, &v, sizeof v); }

// The first n lanes; the others are zero.
CK_INLINE v16f load_part(const float *p, ptrdiff_t n) {
  v16f v = {0};
  for (ptrdiff_t i = 0; i < n; i++) v[i] = p[i];
  return v;
}

CK_INLINE void store_part(float *p, v16f v, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) p[i] = v[i];
}

CK_INLINE v16f multiply_add(v16f a, v16f b, v16f c) { return __builtin_elementwise_fma(a, b, c); }

// Lanes of a where the mask is set (all ones), of b where it is zero.
CK_INLINE v16f choose(v16i mask, v16f a, v16f b) {
  return (v16f)((mask & (v16i)a) | (~mask & (v16i)b));
}

CK_INLINE v16f absolute(v16f v) { return (v16f)((v16i)v & 0x7fffffff); }

CK_INLINE v16i lanes_from(int32_t first) {
  return (v16i){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + first;
}

// Sum of all lanes: lanes i and i + 8, then i + 4, i + 2, i + 1.
CK_INLINE float tree(v16f v) {
  typedef float v8f __attribute__((vector_size(32)));
  typedef float v4f __attribute__((vector_size(16)));
  const v8f a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const v4f b = __builtin_shufflevector(a, a, 0, 1, 2, 3) +
                __builtin_shufflevector(a, a, 4, 5, 6, 7);
  const float c0 = b[0] + b[2], c1 = b[1] + b[3];
  return c0 + c1;
}

// The largest lane; those that are not numbers count only in lane order.
CK_INLINE float largest(v16f v) {
  float m = v[0];
  for (int i = 1; i < 16; i++) m = v[i] > m ? v[i] : m;
  return m;
}

#endif
