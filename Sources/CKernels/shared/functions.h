// The elementary functions of reference/functions.c, 16 at a time.
#ifndef CK_FUNCTIONS_H
#define CK_FUNCTIONS_H

#include "ck_kernels.h"
#include "constants.h"
#include "vector.h"

CK_INLINE v16f power_of_two(v16i n) { return (v16f)((n + 127) << 23); }

CK_INLINE v16f exponential(v16f x) {
  const v16f highest = splat(CK_EXP_HIGHEST), lowest = splat(CK_EXP_LOWEST);
  v16f bounded = choose(x > highest, highest, x);
  bounded = choose(bounded >= lowest, bounded, lowest);
  const v16f n = __builtin_elementwise_roundeven(bounded * splat(CK_LOG2_E));
  v16f r = multiply_add(-n, splat(CK_LN2_HIGH), bounded);
  r = multiply_add(-n, splat(CK_LN2_LOW), r);
  v16f q = splat(CK_EXP_4);
  q = multiply_add(q, r, splat(CK_EXP_3));
  q = multiply_add(q, r, splat(CK_EXP_2));
  q = multiply_add(q, r, splat(CK_EXP_1));
  q = multiply_add(q, r, splat(CK_EXP_0));
  const v16f y = multiply_add(q, r * r, r) + splat(1.0f);
  const v16i exponent = __builtin_convertvector(n, v16i), half = exponent >> 1;
  const v16f scaled = y * power_of_two(half) * power_of_two(exponent - half);
  return choose(x != x, x, scaled);
}

CK_INLINE v16f with_sign_of(v16f magnitude, v16f x) {
  const int32_t sign = (int32_t)0x80000000;
  return (v16f)((v16i)magnitude | ((v16i)x & sign));
}

CK_INLINE v16f hyperbolic_tangent(v16f x) {
  const v16f magnitude = absolute(x), square = x * x;
  v16f q = splat(CK_TANH_4);
  q = multiply_add(q, square, splat(CK_TANH_3));
  q = multiply_add(q, square, splat(CK_TANH_2));
  q = multiply_add(q, square, splat(CK_TANH_1));
  q = multiply_add(q, square, splat(CK_TANH_0));
  const v16f small = multiply_add(q, square * x, x), one = splat(1.0f);
  const v16f large = one - splat(2.0f) / (exponential(magnitude + magnitude) + one);
  return choose(magnitude < splat(CK_TANH_SMALL), small, with_sign_of(large, x));
}

CK_INLINE v16f error_function(v16f x) {
  const v16f magnitude = absolute(x), square = x * x;
  v16f p = splat(CK_ERF_6);
  p = multiply_add(p, square, splat(CK_ERF_5));
  p = multiply_add(p, square, splat(CK_ERF_4));
  p = multiply_add(p, square, splat(CK_ERF_3));
  p = multiply_add(p, square, splat(CK_ERF_2));
  p = multiply_add(p, square, splat(CK_ERF_1));
  p = multiply_add(p, square, splat(CK_ERF_0));
  const v16f small = multiply_add(p, x, x), four = splat(4.0f);
  const v16f z = choose(magnitude > four, four, magnitude);
  v16f q = splat(CK_ERFC_6);
  q = multiply_add(q, z, splat(CK_ERFC_5));
  q = multiply_add(q, z, splat(CK_ERFC_4));
  q = multiply_add(q, z, splat(CK_ERFC_3));
  q = multiply_add(q, z, splat(CK_ERFC_2));
  q = multiply_add(q, z, splat(CK_ERFC_1));
  q = multiply_add(q, z, splat(CK_ERFC_0));
  const v16f large = splat(1.0f) - exponential(-q);
  return choose(magnitude < splat(1.0f), small, with_sign_of(large, x));
}

CK_INLINE v16f activation_of(v16f x, const int32_t activation) {
  const v16f one = splat(1.0f);
  switch (activation) {
    case CK_SILU: return x / (one + exponential(-x));
    case CK_GELU_TANH: {
      const v16f cubic = multiply_add(x * x * x, splat(CK_GELU_CUBIC), x);
      return x / (one + exponential(cubic * splat(CK_GELU_OUTER)));
    }
    case CK_GELU_ERF: return (x * splat(0.5f)) * (one + error_function(x * splat(CK_SQRT_HALF)));
    case CK_GELU_QUICK: return x / (one + exponential(x * splat(CK_GELU_QUICK_FACTOR)));
    default: return choose(x < splat(0.0f), splat(0.0f), x);
  }
}

#endif
