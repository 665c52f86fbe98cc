/* The block types of ggml, as GGUF files store them: a row is a run of blocks, each with its scales
 * and codes. A block stands for 32 columns (256 in the types whose names end in K or XS).
 *
 * Source: the structures of ggml-common.h and the documentation of GGUF. Scales are binary16.
 *
 *   q4_0    d, 16 bytes of nibbles            d * (q - 8)
 *   q4_1    d, m, nibbles                     d * q + m
 *   q5_0    d, 4 bytes of fifth bits, nibbles d * (q - 16)
 *   q5_1    d, m, fifth bits, nibbles         d * q + m
 *   q8_0    d, 32 signed bytes                d * q
 *   iq4_nl  d, nibbles                        d * table[q]
 *   q4_k    d, dmin, 12 bytes of scales, nibbles: (d * sc) * q - dmin * m, 32 columns to a scale
 *   q5_k    the same with 32 bytes of fifth bits before the nibbles
 *   q6_k    128 bytes of low nibbles, 64 of upper bits, 16 signed scales, d: (d * sc) * (q - 32)
 *   iq4_xs  d, scales of 6 bits, nibbles      (d * (sc - 32)) * table[q]
 *
 * All products here are exact in binary32; only the sums of q4_1, q5_1, q4_k and q5_k round. */
#ifndef CK_GGML_H
#define CK_GGML_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

enum {
  CK_Q4_0 = 5,
  CK_Q4_1 = 6,
  CK_Q5_0 = 7,
  CK_Q5_1 = 8,
  CK_Q8_0 = 9,
  CK_IQ4_NL = 10,
  CK_Q4_K = 11,
  CK_Q5_K = 12,
  CK_Q6_K = 13,
  CK_IQ4_XS = 14,
  /* No block is longer. */
  CK_GGML_COLUMNS = 256,
  CK_GGML_BYTES = 210
};

#define CK_IQ4_VALUES -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113

/* Bytes of a block; 0 for formats that are not of ggml. */
static inline ptrdiff_t ck_ggml_block_bytes(int32_t format) {
  switch (format) {
    case CK_Q4_0:
    case CK_IQ4_NL: return 18;
    case CK_Q4_1: return 20;
    case CK_Q5_0: return 22;
    case CK_Q5_1: return 24;
    case CK_Q8_0: return 34;
    case CK_IQ4_XS: return 136;
    case CK_Q4_K: return 144;
    case CK_Q5_K: return 176;
    case CK_Q6_K: return 210;
    default: return 0;
  }
}

/* Columns of a block. */
static inline ptrdiff_t ck_ggml_block_columns(int32_t format) {
  return format >= CK_Q4_K ? 256 : 32;
}

/* The values of one block. */
void ck_ggml_decode(int32_t format, const uint8_t *block, float *values);

/* The values of the first `columns` columns of a row. */
void ck_ggml_decode_row(int32_t format, const uint8_t *row, ptrdiff_t columns, float *values);

/* The blocks of one block or row of weights, which are finite; columns that fill the last block up
 * count as zero. */
void ck_ggml_encode(int32_t format, const float *values, uint8_t *block);
void ck_ggml_encode_row(int32_t format, const float *values, ptrdiff_t columns, uint8_t *row);

#pragma clang assume_nonnull end

#endif
