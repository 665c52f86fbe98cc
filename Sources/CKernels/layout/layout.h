// Where an element of a packed matrix lies; one place for readers and writers.
#ifndef CK_LAYOUT_H
#define CK_LAYOUT_H

#include <string.h>

#include "../reference/reference.h"
#include "ck_formats.h"
#include "ck_ggml.h"

// Element index of [row][column] in the plane of f32, f16 or bf16 weights.
static inline ptrdiff_t ck_float_index(const ck_weights *w, ptrdiff_t row, ptrdiff_t column) {
  return (row / CK_GROUP * w->columns + column) * CK_GROUP + row % CK_GROUP;
}

static inline float ck_float_weight(const ck_weights *w, ptrdiff_t row, ptrdiff_t column) {
  const ptrdiff_t i = ck_float_index(w, row, column);
  if (w->format == CK_F32) {
    float value;
    memcpy(&value, w->codes + 4 * i, sizeof value);
    return value;
  }
  uint16_t half;
  memcpy(&half, w->codes + 2 * i, sizeof half);
  return w->format == CK_F16 ? ck_ref_from_f16(half) : ck_ref_from_bf16(half);
}

// Where byte j of a row of ggml's blocks is.
static inline ptrdiff_t ck_ggml_byte(const ck_weights *w, ptrdiff_t row, ptrdiff_t j) {
  const ptrdiff_t bytes = w->blocks * ck_ggml_block_bytes(w->format);
  return (row / CK_GROUP * bytes + j) * CK_GROUP + row % CK_GROUP;
}

// The values of the `block`-th block of a row.
static inline void ck_ggml_values(const ck_weights *w, ptrdiff_t row, ptrdiff_t block,
                                  float *values) {
  const ptrdiff_t bytes = ck_ggml_block_bytes(w->format);
  uint8_t gathered[CK_GGML_BYTES];
  for (ptrdiff_t j = 0; j < bytes; j++) {
    gathered[j] = w->codes[ck_ggml_byte(w, row, block * bytes + j)];
  }
  ck_ggml_decode(w->format, gathered, values);
}

// First byte of the four that hold columns 4j … 4j + 3 of a q8 row.
static inline ptrdiff_t ck_q8_word(const ck_weights *w, ptrdiff_t row, ptrdiff_t j) {
  return ((row / CK_GROUP * w->blocks * 8 + j) * CK_GROUP + row % CK_GROUP) * 4;
}

static inline int32_t ck_q8_code(const ck_weights *w, ptrdiff_t row, ptrdiff_t column) {
  return (int8_t)w->codes[ck_q8_word(w, row, column / 4) + column % 4];
}

// First byte of the unit of 64 columns.
static inline ptrdiff_t ck_q4_unit(const ck_weights *w, ptrdiff_t group, ptrdiff_t unit) {
  return (group * (w->blocks / 2) + unit) * CK_Q4_UNIT;
}

// First byte of the four that hold columns 8j … 8j + 7 of a q4 row.
static inline ptrdiff_t ck_q4_word(const ck_weights *w, ptrdiff_t row, ptrdiff_t j) {
  return ck_q4_unit(w, row / CK_GROUP, j / 8) + 64 + (j % 8 * CK_GROUP + row % CK_GROUP) * 4;
}

static inline uint32_t ck_q4_code(const ck_weights *w, ptrdiff_t row, ptrdiff_t column) {
  const uint8_t byte = w->codes[ck_q4_word(w, row, column / 8) + column % 4];
  return column % 8 < 4 ? byte & 15 : byte >> 4;
}

// Where the scale of the `part`-th 16 columns of a q4 row is, its top bit flipped.
static inline ptrdiff_t ck_q4_scale_index(const ck_weights *w, ptrdiff_t row, ptrdiff_t part) {
  return ck_q4_unit(w, row / CK_GROUP, part / 4) + row % CK_GROUP * 4 + part % 4;
}

static inline uint8_t ck_q4_scale_byte(const ck_weights *w, ptrdiff_t row, ptrdiff_t part) {
  return w->codes[ck_q4_scale_index(w, row, part)] ^ 0x80;
}

// Index of what belongs to a row and a block; `count` is the number of blocks of a row.
static inline ptrdiff_t ck_scale_index(ptrdiff_t count, ptrdiff_t row, ptrdiff_t block) {
  return (row / CK_GROUP * count + block) * CK_GROUP + row % CK_GROUP;
}

static inline int32_t ck_q8_level(const ck_weights *w, ptrdiff_t row, ptrdiff_t block) {
  return w->block_scales[ck_scale_index(w->blocks, row, block)];
}

#endif
