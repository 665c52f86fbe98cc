// Elementary functions and conversions of one value, from IEEE operations alone.
#include <math.h>
#include <string.h>

#include "../shared/constants.h"
#include "reference.h"

#pragma STDC FP_CONTRACT OFF

static float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float power_of_two(int32_t n) { return from_bits((uint32_t)(n + 127) << 23); }

float ck_ref_exp(float x) {
  float bounded = x > CK_EXP_HIGHEST ? CK_EXP_HIGHEST : x;
  bounded = bounded >= CK_EXP_LOWEST ? bounded : CK_EXP_LOWEST;
  const float n = rintf(bounded * CK_LOG2_E);
  float r = fmaf(-n, CK_LN2_HIGH, bounded);
  r = fmaf(-n, CK_LN2_LOW, r);
  float q = CK_EXP_4;
  q = fmaf(q, r, CK_EXP_3);
  q = fmaf(q, r, CK_EXP_2);
  q = fmaf(q, r, CK_EXP_1);
  q = fmaf(q, r, CK_EXP_0);
  const float y = fmaf(q, r * r, r) + 1.0f;
  // Two factors, so that results beyond the normal range round once, or overflow.
  const int32_t exponent = (int32_t)n, half = exponent >> 1;
  const float scaled = y * power_of_two(half) * power_of_two(exponent - half);
  return x != x ? x : scaled;
}

float ck_ref_tanh(float x) {
  const float magnitude = from_bits(to_bits(x) & 0x7fffffff);
  const float square = x * x;
  float q = CK_TANH_4;
  q = fmaf(q, square, CK_TANH_3);
  q = fmaf(q, square, CK_TANH_2);
  q = fmaf(q, square, CK_TANH_1);
  q = fmaf(q, square, CK_TANH_0);
  const float small = fmaf(q, square * x, x);
  const float large = 1.0f - 2.0f / (ck_ref_exp(magnitude + magnitude) + 1.0f);
  const float with_sign = from_bits(to_bits(large) | (to_bits(x) & 0x80000000));
  return magnitude < CK_TANH_SMALL ? small : with_sign;
}

float ck_ref_erf(float x) {
  const float magnitude = from_bits(to_bits(x) & 0x7fffffff);
  const float square = x * x;
  float p = CK_ERF_6;
  p = fmaf(p, square, CK_ERF_5);
  p = fmaf(p, square, CK_ERF_4);
  p = fmaf(p, square, CK_ERF_3);
  p = fmaf(p, square, CK_ERF_2);
  p = fmaf(p, square, CK_ERF_1);
  p = fmaf(p, square, CK_ERF_0);
  const float small = fmaf(p, x, x);
  const float z = magnitude > 4.0f ? 4.0f : magnitude;
  float q = CK_ERFC_6;
  q = fmaf(q, z, CK_ERFC_5);
  q = fmaf(q, z, CK_ERFC_4);
  q = fmaf(q, z, CK_ERFC_3);
  q = fmaf(q, z, CK_ERFC_2);
  q = fmaf(q, z, CK_ERFC_1);
  q = fmaf(q, z, CK_ERFC_0);
  const float large = 1.0f - ck_ref_exp(-q);
  const float with_sign = from_bits(to_bits(large) | (to_bits(x) & 0x80000000));
  return magnitude < 1.0f ? small : with_sign;
}

float ck_ref_activation(float x, int32_t activation) {
  switch (activation) {
    case CK_SILU: return x / (1.0f + ck_ref_exp(-x));
    case CK_GELU_TANH: {
      const float cubic = fmaf(x * x * x, CK_GELU_CUBIC, x);
      return x / (1.0f + ck_ref_exp(cubic * CK_GELU_OUTER));
    }
    case CK_GELU_ERF: return (x * 0.5f) * (1.0f + ck_ref_erf(x * CK_SQRT_HALF));
    case CK_GELU_QUICK: return x / (1.0f + ck_ref_exp(x * CK_GELU_QUICK_FACTOR));
    default: return x < 0.0f ? 0.0f : x;
  }
}

// ln x for positive, normal x: x = 2^e * m, ln m = 2 * atanh((m - 1) / (m + 1)).
double ck_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int64_t exponent = (int64_t)(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffff) | 0x3ff0000000000000;
  double m;
  memcpy(&m, &bits, sizeof m);
  if (m > 1.4142135623730951) {
    m = m * 0.5;
    exponent += 1;
  }
  const double s = (m - 1.0) / (m + 1.0), square = s * s;
  double series = 0;
  for (int k = 21; k >= 1; k -= 2) series = series * square + 1.0 / (double)k;
  return (double)exponent * 0.6931471805599453 + 2.0 * s * series;
}

float ck_ref_from_f16(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 31, fraction = half & 0x3ff;
  if (exponent == 0) {
    const float magnitude = (float)fraction * 0x1p-24f;
    return from_bits(to_bits(magnitude) | sign);
  }
  if (exponent == 31) {
    const uint32_t quiet = fraction ? 0x00400000 : 0;
    return from_bits(sign | CK_INFINITY_BITS | quiet | fraction << 13);
  }
  return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t ck_ref_to_f16(float value) {
  const uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > CK_INFINITY_BITS) {
    return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  }
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);  // 65520 and above
  if (magnitude < 0x38800000) {  // below 2^-14: multiples of 2^-24
    return (uint16_t)(sign | (uint32_t)rintf(from_bits(magnitude) * 0x1p24f));
  }
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return (uint16_t)(sign | ((rounded >> 13) - (112 << 10)));
}

float ck_ref_from_bf16(uint16_t half) { return from_bits((uint32_t)half << 16); }

uint16_t ck_ref_to_bf16(float value) {
  const uint32_t bits = to_bits(value);
  if ((bits & 0x7fffffff) > CK_INFINITY_BITS) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float ck_ref_tree(const float *lanes) {
  float sums[16];
  memcpy(sums, lanes, sizeof sums);
  for (int n = 8; n > 0; n /= 2) {
    for (int i = 0; i < n; i++) sums[i] = sums[i] + sums[i + n];
  }
  return sums[0];
}
