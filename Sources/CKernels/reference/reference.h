// The scalar kernels: the specification that every instruction set equals bit for bit.
#ifndef CK_REFERENCE_H
#define CK_REFERENCE_H

#include "ck_kernels.h"

// Elementary functions.
float ck_ref_exp(float x);
float ck_ref_tanh(float x);
float ck_ref_erf(float x);
float ck_ref_activation(float x, int32_t activation);
double ck_log(double x);

// Conversions of one value; to 16 bits by round to nearest, ties to even.
float ck_ref_from_f16(uint16_t half);
uint16_t ck_ref_to_f16(float value);
float ck_ref_from_bf16(uint16_t half);
uint16_t ck_ref_to_bf16(float value);

// Adds 16 partial sums as a tree: lanes i and i + 8, then i + 4, i + 2, i + 1.
float ck_ref_tree(const float *lanes);

void ck_ref_quantize(const float *x, ptrdiff_t columns, ptrdiff_t row,
                     const ck_activations *activations);
void ck_ref_multiply(const ck_product *product, ptrdiff_t first_group, ptrdiff_t last_group);
void ck_ref_gather(const ck_weights *weights, ptrdiff_t row, float *y);
void ck_ref_rms_norm(const float *x, const float *weight, float weight_offset, float epsilon,
                     ptrdiff_t n, float *y);
void ck_ref_layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       ptrdiff_t n, float *y);
void ck_ref_add(const float *x, float *y, ptrdiff_t n);
void ck_ref_scale(float *x, float factor, ptrdiff_t n);
void ck_ref_softcap(float *x, float cap, ptrdiff_t n);
void ck_ref_activate(float *x, int32_t activation, ptrdiff_t n);
void ck_ref_gate(float *gate, const float *up, int32_t activation, ptrdiff_t n);
void ck_ref_rotate(float *x, const float *cosines, const float *sines, const ck_rotary *rotary);
ptrdiff_t ck_ref_argmax(const float *x, ptrdiff_t n);
double ck_ref_log_sum_exp(const float *x, ptrdiff_t n);
void ck_ref_store(const ck_cache *cache, const float *keys, const float *values,
                  ptrdiff_t position);
void ck_ref_attend(const ck_attention *attention, ptrdiff_t kv_head, ptrdiff_t first_row,
                   ptrdiff_t last_row, float *scratch);
void ck_ref_f16_to_f32(const void *source, float *target, ptrdiff_t n);
void ck_ref_bf16_to_f32(const void *source, float *target, ptrdiff_t n);
void ck_ref_f32_to_f16(const float *source, void *target, ptrdiff_t n);
void ck_ref_f32_to_bf16(const float *source, void *target, ptrdiff_t n);
int32_t ck_ref_all_finite(const float *source, ptrdiff_t n);
uint64_t ck_ref_read(const void *source, ptrdiff_t bytes);

#endif
