// Coefficients of the elementary functions: minimax fits in the ranges named, rounded to float.
#ifndef CK_CONSTANTS_H
#define CK_CONSTANTS_H

// exp(x) = 2^n * exp(r), n = round(x / ln 2), exp(r) = 1 + r + r^2 * q(r) for |r| <= ln 2 / 2.
#define CK_LOG2_E 0x1.715476p+0f
#define CK_LN2_HIGH 0x1.62e000p-1f
#define CK_LN2_LOW 0x1.0bfbe8p-15f
#define CK_EXP_LOWEST -104.0f
#define CK_EXP_HIGHEST 89.0f
#define CK_EXP_0 0x1.fffffcp-2f
#define CK_EXP_1 0x1.555490p-3f
#define CK_EXP_2 0x1.5558fap-5f
#define CK_EXP_3 0x1.123b6ap-7f
#define CK_EXP_4 0x1.6a21c6p-10f

// tanh(x) = x + x^3 * q(x^2) for |x| < 0.625.
#define CK_TANH_SMALL 0.625f
#define CK_TANH_0 -0x1.555530p-2f
#define CK_TANH_1 0x1.110692p-3f
#define CK_TANH_2 -0x1.b82800p-5f
#define CK_TANH_3 0x1.519c98p-6f
#define CK_TANH_4 -0x1.736436p-8f

// erf(x) = x + x * q(x^2) for |x| < 1.
#define CK_ERF_0 0x1.06eba8p-3f
#define CK_ERF_1 -0x1.81273ep-2f
#define CK_ERF_2 0x1.ce2cf8p-4f
#define CK_ERF_3 -0x1.b7f916p-6f
#define CK_ERF_4 0x1.5405eep-8f
#define CK_ERF_5 -0x1.a3f87ep-11f
#define CK_ERF_6 0x1.496dd6p-14f

// erf(x) = 1 - exp(-q(x)) for 1 <= x <= 4; beyond 4 it rounds to 1.
#define CK_ERFC_0 0x1.72dd70p-12f
#define CK_ERFC_1 0x1.2085b4p+0f
#define CK_ERFC_2 0x1.46c57cp-1f
#define CK_ERFC_3 0x1.a60abep-4f
#define CK_ERFC_4 -0x1.654298p-6f
#define CK_ERFC_5 0x1.814dccp-9f
#define CK_ERFC_6 -0x1.852edep-13f

#define CK_SQRT_HALF 0x1.6a09e6p-1f
// gelu, tanh form: x / (1 + exp(-2u)), u = sqrt(2 / pi) * (x + 0.044715 * x^3).
#define CK_GELU_OUTER -0x1.988454p+0f
#define CK_GELU_CUBIC 0x1.6e4e26p-5f
#define CK_GELU_QUICK_FACTOR -1.702f

// Activations whose largest magnitude is below 2^-112 count as zero, so that 4095 divided by it is
// finite.
#define CK_TINY_BITS 0x07800000
#define CK_INFINITY_BITS 0x7f800000

#endif
