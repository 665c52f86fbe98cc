// Norms, elementwise functions, rotary positions and conversions over rows of floats.
#include <math.h>
#include <string.h>

#include "../shared/constants.h"
#include "reference.h"

#pragma STDC FP_CONTRACT OFF

void ck_ref_rms_norm(const float *x, const float *weight, float weight_offset, float epsilon,
                     ptrdiff_t n, float *y) {
  float lanes[16] = {0};
  for (ptrdiff_t i = 0; i < n; i++) lanes[i & 15] = fmaf(x[i], x[i], lanes[i & 15]);
  const float inverse = 1.0f / sqrtf(ck_ref_tree(lanes) / (float)n + epsilon);
  for (ptrdiff_t i = 0; i < n; i++) y[i] = (x[i] * inverse) * (weight[i] + weight_offset);
}

void ck_ref_layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       ptrdiff_t n, float *y) {
  float lanes[16] = {0};
  for (ptrdiff_t i = 0; i < n; i++) lanes[i & 15] = lanes[i & 15] + x[i];
  const float mean = ck_ref_tree(lanes) / (float)n;
  memset(lanes, 0, sizeof lanes);
  for (ptrdiff_t i = 0; i < n; i++) {
    const float difference = x[i] - mean;
    lanes[i & 15] = fmaf(difference, difference, lanes[i & 15]);
  }
  const float inverse = 1.0f / sqrtf(ck_ref_tree(lanes) / (float)n + epsilon);
  for (ptrdiff_t i = 0; i < n; i++) {
    const float scaled = ((x[i] - mean) * inverse) * weight[i];
    y[i] = bias ? scaled + bias[i] : scaled;
  }
}

void ck_ref_add(const float *x, float *y, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) y[i] = y[i] + x[i];
}

void ck_ref_scale(float *x, float factor, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) x[i] = x[i] * factor;
}

void ck_ref_softcap(float *x, float cap, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) x[i] = cap * ck_ref_tanh(x[i] / cap);
}

void ck_ref_activate(float *x, int32_t activation, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) x[i] = ck_ref_activation(x[i], activation);
}

void ck_ref_gate(float *gate, const float *up, int32_t activation, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) gate[i] = ck_ref_activation(gate[i], activation) * up[i];
}

void ck_ref_rotate(float *x, const float *cosines, const float *sines, const ck_rotary *rotary) {
  for (ptrdiff_t h = 0; h < rotary->heads; h++) {
    float *head = x + h * rotary->head_dimension;
    for (ptrdiff_t k = 0; k < rotary->half_dimension; k++) {
      const ptrdiff_t first = rotary->interleaved ? 2 * k : k;
      const ptrdiff_t second = rotary->interleaved ? 2 * k + 1 : k + rotary->half_dimension;
      const float a = head[first], b = head[second];
      head[first] = a * cosines[k] - b * sines[k];
      head[second] = b * cosines[k] + a * sines[k];
    }
  }
}

ptrdiff_t ck_ref_argmax(const float *x, ptrdiff_t n) {
  ptrdiff_t best = 0;
  float highest = -INFINITY;
  for (ptrdiff_t i = 0; i < n; i++) {
    if (x[i] > highest) {
      highest = x[i];
      best = i;
    }
  }
  return best;
}

double ck_ref_log_sum_exp(const float *x, ptrdiff_t n) {
  float highest = -INFINITY;
  for (ptrdiff_t i = 0; i < n; i++) highest = x[i] > highest ? x[i] : highest;
  double lanes[16] = {0};
  for (ptrdiff_t i = 0; i < n; i++) {
    lanes[i & 15] = lanes[i & 15] + (double)ck_ref_exp(x[i] - highest);
  }
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) lanes[i] = lanes[i] + lanes[i + width];
  }
  // Not a number, or nothing finite to compare with: the sum says so.
  if (!(lanes[0] >= 1.0)) return lanes[0] != lanes[0] ? lanes[0] : (double)highest;
  return (double)highest + ck_log(lanes[0]);
}

void ck_ref_f16_to_f32(const void *source, float *target, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) {
    uint16_t half;
    memcpy(&half, (const uint8_t *)source + 2 * i, sizeof half);
    target[i] = ck_ref_from_f16(half);
  }
}

void ck_ref_bf16_to_f32(const void *source, float *target, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) {
    uint16_t half;
    memcpy(&half, (const uint8_t *)source + 2 * i, sizeof half);
    target[i] = ck_ref_from_bf16(half);
  }
}

void ck_ref_f32_to_f16(const float *source, void *target, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) {
    const uint16_t half = ck_ref_to_f16(source[i]);
    memcpy((uint8_t *)target + 2 * i, &half, sizeof half);
  }
}

void ck_ref_f32_to_bf16(const float *source, void *target, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) {
    const uint16_t half = ck_ref_to_bf16(source[i]);
    memcpy((uint8_t *)target + 2 * i, &half, sizeof half);
  }
}

int32_t ck_ref_all_finite(const float *source, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) {
    if (!(source[i] - source[i] == 0)) return 0;
  }
  return 1;
}

uint64_t ck_ref_read(const void *source, ptrdiff_t bytes) {
  uint64_t sum = 0;
  for (ptrdiff_t i = 0; i + 8 <= bytes; i += 8) {
    uint64_t word;
    memcpy(&word, (const uint8_t *)source + i, sizeof word);
    sum += word;
  }
  return sum;
}
