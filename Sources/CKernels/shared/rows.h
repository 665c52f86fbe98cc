// Norms, elementwise functions and rotary positions over rows of floats; reference/rows.c says
// what they compute.
#ifndef CK_ROWS_H
#define CK_ROWS_H

#include <math.h>

#include "../reference/reference.h"
#include "functions.h"

// Runs `step` for each 16 of n elements and once more for the rest: `count` lanes at `i`.
#define CK_EACH_16(n, step)                                  \
  do {                                                       \
    ptrdiff_t i = 0;                                         \
    for (; i + 16 <= (n); i += 16) step(16);                 \
    if (i < (n)) step((n) - i);                              \
  } while (0)

#define CK_LOAD(p, count) ((count) == 16 ? load(p) : load_part(p, count))
#define CK_STORE(p, v, count) ((count) == 16 ? store(p, v) : store_part(p, v, count))

static float sum_of_squares(const float *x, float mean, ptrdiff_t n) {
  v16f lanes = splat(0.0f);
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const v16f difference = load(x + i) - splat(mean);
    lanes = multiply_add(difference, difference, lanes);
  }
  if (i < n) {
    // Lanes beyond the end must keep their sums.
    v16f difference = load_part(x + i, n - i) - splat(mean);
    difference = choose(lanes_from((int32_t)i) < (int32_t)n, difference, splat(0.0f));
    lanes = multiply_add(difference, difference, lanes);
  }
  return tree(lanes);
}

static void rms_norm(const float *x, const float *weight, float weight_offset, float epsilon,
                     ptrdiff_t n, float *y) {
  const float mean_square = sum_of_squares(x, 0.0f, n) / (float)n;
  const v16f inverse = splat(1.0f / sqrtf(mean_square + epsilon));
#define STEP(count)                                                            \
  CK_STORE(y + i, (CK_LOAD(x + i, count) * inverse) *                          \
                      (CK_LOAD(weight + i, count) + splat(weight_offset)), count)
  CK_EACH_16(n, STEP);
#undef STEP
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       ptrdiff_t n, float *y) {
  v16f sums = splat(0.0f);
#define STEP(count) sums = sums + CK_LOAD(x + i, count)
  CK_EACH_16(n, STEP);
#undef STEP
  const float mean = tree(sums) / (float)n;
  const v16f inverse = splat(1.0f / sqrtf(sum_of_squares(x, mean, n) / (float)n + epsilon));
#define STEP(count)                                                                       \
  do {                                                                                    \
    v16f v = ((CK_LOAD(x + i, count) - splat(mean)) * inverse) * CK_LOAD(weight + i, count); \
    if (bias) v = v + CK_LOAD(bias + i, count);                                           \
    CK_STORE(y + i, v, count);                                                            \
  } while (0)
  CK_EACH_16(n, STEP);
#undef STEP
}

static void add(const float *x, float *y, ptrdiff_t n) {
#define STEP(count) CK_STORE(y + i, CK_LOAD(y + i, count) + CK_LOAD(x + i, count), count)
  CK_EACH_16(n, STEP);
#undef STEP
}

static void scale(float *x, float factor, ptrdiff_t n) {
#define STEP(count) CK_STORE(x + i, CK_LOAD(x + i, count) * splat(factor), count)
  CK_EACH_16(n, STEP);
#undef STEP
}

static void softcap(float *x, float cap, ptrdiff_t n) {
#define STEP(count)  \
  CK_STORE(x + i, splat(cap) * hyperbolic_tangent(CK_LOAD(x + i, count) / splat(cap)), count)
  CK_EACH_16(n, STEP);
#undef STEP
}

// gate = activation(gate) * up, or without up.
CK_INLINE void activate_by(float *gate, const float *up, const int32_t activation, ptrdiff_t n) {
#define STEP(count)                                                \
  do {                                                             \
    v16f v = activation_of(CK_LOAD(gate + i, count), activation);  \
    if (up) v = v * CK_LOAD(up + i, count);                        \
    CK_STORE(gate + i, v, count);                                  \
  } while (0)
  CK_EACH_16(n, STEP);
#undef STEP
}

static void gate(float *gate, const float *up, int32_t activation, ptrdiff_t n) {
  switch (activation) {
    case CK_SILU: activate_by(gate, up, CK_SILU, n); break;
    case CK_GELU_TANH: activate_by(gate, up, CK_GELU_TANH, n); break;
    case CK_GELU_ERF: activate_by(gate, up, CK_GELU_ERF, n); break;
    case CK_GELU_QUICK: activate_by(gate, up, CK_GELU_QUICK, n); break;
    default: activate_by(gate, up, CK_RELU, n); break;
  }
}

static void activate(float *x, int32_t activation, ptrdiff_t n) { gate(x, 0, activation, n); }

static void rotate_halves(float *head, const float *cosines, const float *sines,
                          ptrdiff_t half) {
#define STEP(count)                                                              \
  do {                                                                           \
    const v16f a = CK_LOAD(head + i, count), b = CK_LOAD(head + half + i, count); \
    const v16f c = CK_LOAD(cosines + i, count), s = CK_LOAD(sines + i, count);   \
    CK_STORE(head + i, a * c - b * s, count);                                    \
    CK_STORE(head + half + i, b * c + a * s, count);                             \
  } while (0)
  CK_EACH_16(half, STEP);
#undef STEP
}

static void rotate_pairs(float *head, const float *cosines, const float *sines, ptrdiff_t half) {
  ptrdiff_t k = 0;
  for (; k + 16 <= half; k += 16) {
    const v16f low = load(head + 2 * k), high = load(head + 2 * k + 16);
    const v16f a = __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20,
                                           22, 24, 26, 28, 30);
    const v16f b = __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21,
                                           23, 25, 27, 29, 31);
    const v16f c = load(cosines + k), s = load(sines + k);
    const v16f first = a * c - b * s, second = b * c + a * s;
    store(head + 2 * k, __builtin_shufflevector(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4,
                                                20, 5, 21, 6, 22, 7, 23));
    store(head + 2 * k + 16, __builtin_shufflevector(first, second, 8, 24, 9, 25, 10, 26, 11,
                                                     27, 12, 28, 13, 29, 14, 30, 15, 31));
  }
  for (; k < half; k++) {
    const float a = head[2 * k], b = head[2 * k + 1];
    head[2 * k] = a * cosines[k] - b * sines[k];
    head[2 * k + 1] = b * cosines[k] + a * sines[k];
  }
}

static void rotate(float *x, const float *cosines, const float *sines, const ck_rotary *rotary) {
  for (ptrdiff_t h = 0; h < rotary->heads; h++) {
    float *head = x + h * rotary->head_dimension;
    if (rotary->interleaved) {
      rotate_pairs(head, cosines, sines, rotary->half_dimension);
    } else {
      rotate_halves(head, cosines, sines, rotary->half_dimension);
    }
  }
}

static float highest_of(const float *x, ptrdiff_t n) {
  v16f highest = splat(-INFINITY);
#define STEP(count)                                                                 \
  do {                                                                              \
    v16f v = CK_LOAD(x + i, count);                                                 \
    if ((count) < 16) v = choose(lanes_from(0) < (int32_t)(count), v, splat(-INFINITY)); \
    highest = choose(v > highest, v, highest);                                      \
  } while (0)
  CK_EACH_16(n, STEP);
#undef STEP
  return largest(highest);
}

static ptrdiff_t argmax(const float *x, ptrdiff_t n) {
  const float highest = highest_of(x, n);
  if (highest == -INFINITY) return 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    if (x[i] == highest) return i;
  }
  return 0;
}

static double log_sum_exp(const float *x, ptrdiff_t n) {
  const float highest = highest_of(x, n);
  v16d lanes = {0};
#define STEP(count)                                                                      \
  do {                                                                                   \
    v16f v = exponential(CK_LOAD(x + i, count) - splat(highest));                        \
    if ((count) < 16) v = choose(lanes_from(0) < (int32_t)(count), v, splat(0.0f));      \
    lanes = lanes + __builtin_convertvector(v, v16d);                                    \
  } while (0)
  CK_EACH_16(n, STEP);
#undef STEP
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) lanes[i] = lanes[i] + lanes[i + width];
  }
  if (!(lanes[0] >= 1.0)) return lanes[0] != lanes[0] ? lanes[0] : (double)highest;
  return (double)highest + ck_log(lanes[0]);
}

#endif
