/* Encoders of the stored weight formats in ck_formats.h.
 *
 * The bytes depend on the weights alone: plain IEEE arithmetic in a fixed order, no contraction
 * and no mathematical library, so that every machine and every number of threads gives the same.
 * Weights must be finite. Each row is encoded by itself. */
#ifndef CK_QUANTIZE_H
#define CK_QUANTIZE_H

#include "ck_formats.h"

/* x: [rows, columns]; row_scale: [rows]; block_scale: [rows, C/32]; codes: [rows, C]. */
void ck_q8_encode(
    const float *x, size_t rows, size_t columns, float *row_scale, uint8_t *block_scale,
    int8_t *codes);

/* x: [rows, columns]; row_scale: [rows]; block_scale: [rows, C/16]; codes: [rows, C/2]. */
void ck_q4_encode(
    const float *x, size_t rows, size_t columns, float *row_scale, uint8_t *block_scale,
    uint8_t *codes);

#endif
