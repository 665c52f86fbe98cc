// Products of ggml's blocks with f32 activations: blocks are decoded to floats, which then multiply
// as f32 weights do, in the same order. Sixteen rows stand side by side byte for byte: byte j of
// the first row, of the second …, then byte j + 1.
#ifndef CK_SHARED_GGML_H
#define CK_SHARED_GGML_H

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "ck_ggml.h"
#include "floats.h"

// Tokens and columns for which decoded weights and sums stay in cache.
#define CK_GGML_PANEL_TOKENS 64
#define CK_GGML_PANEL_COLUMNS 256

typedef uint8_t v16u __attribute__((vector_size(16)));

// Byte j of all rows.
CK_INLINE v16u bytes_at(const uint8_t *p, ptrdiff_t j) {
  v16u bytes;
  memcpy(&bytes, p + CK_GROUP * j, sizeof bytes);
  return bytes;
}

CK_INLINE v16f floats_of(v16c bytes) {
  return __builtin_convertvector(__builtin_convertvector(bytes, v16i), v16f);
}

// The binary16 in bytes j and j + 1.
CK_INLINE v16f halves_at(const uint8_t *p, ptrdiff_t j) {
  const v16h low = __builtin_convertvector(bytes_at(p, j), v16h);
  const v16h high = __builtin_convertvector(bytes_at(p, j + 1), v16h);
  const v16h halves = low | high << 8;
  return from_f16(&halves);
}

// Some bits of each byte. Pairs of bytes are shifted: what crosses is masked away.
CK_INLINE v16u field(v16u bytes, const int shift, const int mask) {
  typedef uint16_t pairs __attribute__((vector_size(16)));
  const uint16_t s = (uint16_t)shift;
  const uint8_t m = (uint8_t)mask;
  const v16u masks = {m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m};
  return (v16u)((pairs)bytes >> (pairs){s, s, s, s, s, s, s, s}) & masks;
}

// Bits below 16 as upper bits of a code.
CK_INLINE v16u raised(v16u bits) {
  typedef uint16_t pairs __attribute__((vector_size(16)));
  return (v16u)((pairs)bits << 4);
}

CK_INLINE v16c table_values(v16u codes) {
  static const int8_t table[16] __attribute__((aligned(16))) = {CK_IQ4_VALUES};
#if defined(__x86_64__)
  return (v16c)_mm_shuffle_epi8(_mm_load_si128((const __m128i *)table), (__m128i)codes);
#elif defined(__aarch64__)
  return (v16c)vqtbl1q_s8(vld1q_s8(table), (uint8x16_t)codes);
#else
  v16c values;
  for (int i = 0; i < 16; i++) values[i] = table[codes[i]];
  return values;
#endif
}

// What a block's rows have in common: scale and minimum.
typedef struct ck_ggml_head {
  v16f scale;
  v16f minimum;
} ck_ggml_head;

// 16 columns: weight = scale * code + offset.
typedef struct ck_ggml_run {
  v16f scale;
  v16f offset;
  const uint8_t *low;   // bytes whose nibbles are the lower bits of the codes
  const uint8_t *high;  // and those with the upper bits
  int shift;
  int high_shift;
} ck_ggml_run;

CK_INLINE int is_affine(const int32_t format) {
  return format == CK_Q4_1 || format == CK_Q5_1 || format == CK_Q4_K || format == CK_Q5_K;
}

CK_INLINE ck_ggml_head head_of(const uint8_t *p, const int32_t format) {
  return (ck_ggml_head){.scale = halves_at(p, format == CK_Q6_K ? 208 : 0),
                        .minimum = is_affine(format) ? halves_at(p, 2) : splat(0.0f)};
}

// Scales of 6 bits of q4_k and q5_k: those of the `s`-th 32 columns.
CK_INLINE void scale_affine(ck_ggml_run *run, const ck_ggml_head *head, const uint8_t *p, int s) {
  v16u scale, minimum;
  if (s < 4) {
    scale = field(bytes_at(p, 4 + s), 0, 63);
    minimum = field(bytes_at(p, 8 + s), 0, 63);
  } else {
    const v16u both = bytes_at(p, 8 + s);
    scale = field(both, 0, 15) | raised(field(bytes_at(p, s), 6, 3));
    minimum = field(both, 4, 15) | raised(field(bytes_at(p, 4 + s), 6, 3));
  }
  run->scale = head->scale * floats_of((v16c)scale);
  run->offset = -(head->minimum * floats_of((v16c)minimum));
}

// The `r`-th 16 columns of a block of 32.
CK_INLINE ck_ggml_run small_run(const ck_ggml_head *head, const uint8_t *p, int r,
                                const int32_t format) {
  ck_ggml_run run = {.scale = head->scale, .offset = head->minimum, .shift = 4 * r};
  const int bits = format == CK_Q5_1 ? 4 : 2;
  const int codes = format == CK_Q5_1   ? 8
                    : format == CK_Q5_0 ? 6
                    : format == CK_Q4_1 ? 4
                    : format == CK_Q8_0 ? 2 + 16 * r
                                        : 2;
  run.low = p + CK_GROUP * codes;
  run.high = p + CK_GROUP * (bits + 2 * r);
  return run;
}

// The `r`-th 16 columns of a block of 256.
CK_INLINE ck_ggml_run large_run(const ck_ggml_head *head, const uint8_t *p, int r,
                                const int32_t format) {
  ck_ggml_run run = {.scale = head->scale, .shift = r % 4 / 2 * 4};
  const int place = r / 4 * 32 + r % 2 * 16;
  if (format == CK_Q4_K || format == CK_Q5_K) {
    scale_affine(&run, head, p, r / 2);
    run.low = p + CK_GROUP * ((format == CK_Q4_K ? 16 : 48) + place);
    run.high = p + CK_GROUP * (16 + r % 2 * 16);
    run.high_shift = r / 2;
  } else if (format == CK_Q6_K) {
    const int half = r / 8, quarter = r % 8 / 2;
    run.scale = head->scale * floats_of((v16c)bytes_at(p, 192 + r));
    run.low = p + CK_GROUP * (half * 64 + quarter % 2 * 32 + r % 2 * 16);
    run.high = p + CK_GROUP * (128 + half * 32 + r % 2 * 16);
    run.shift = quarter / 2 * 4;
    run.high_shift = 2 * quarter;
  } else {
    const int s = r / 2;
    const v16u low = field(bytes_at(p, 4 + s / 2), s % 2 * 4, 15);
    const v16u high = field(bytes_at(p, 2 + s / 4), s % 4 * 2, 3);
    run.scale = head->scale * floats_of((v16c)(low | raised(high)) - 32);
    run.low = p + CK_GROUP * (8 + s * 16);
    run.shift = r % 2 * 4;
  }
  return run;
}

// The weights of the `i`-th column of a run.
CK_INLINE v16f weights_of(const ck_ggml_run *run, const int i, const int32_t format) {
  const v16u low = bytes_at(run->low, i);
  v16c code;
  switch (format) {
    case CK_Q8_0: code = (v16c)low; break;
    case CK_Q4_0: code = (v16c)field(low, run->shift, 15) - 8; break;
    case CK_Q5_0:
    case CK_Q5_1: {
      const v16u high = raised(field(bytes_at(run->high, i / 8), i % 8, 1));
      code = (v16c)(field(low, run->shift, 15) | high) - (int8_t)(format == CK_Q5_0 ? 16 : 0);
      break;
    }
    case CK_Q5_K:
    case CK_Q6_K: {
      const int mask = format == CK_Q5_K ? 1 : 3;
      const v16u high = raised(field(bytes_at(run->high, i), run->high_shift, mask));
      code = (v16c)(field(low, run->shift, 15) | high) - (int8_t)(format == CK_Q6_K ? 32 : 0);
      break;
    }
    case CK_IQ4_NL:
    case CK_IQ4_XS: code = table_values(field(low, run->shift, 15)); break;
    default: code = (v16c)field(low, run->shift, 15); break;
  }
  const v16f q = floats_of(code);
  // The product is exact, so that this rounds once, as a product and a sum do.
  return is_affine(format) ? multiply_add(run->scale, q, run->offset) : run->scale * q;
}

CK_INLINE ck_ggml_run run_of(const ck_ggml_head *head, const uint8_t *p, int r,
                             const int32_t format) {
  return format >= CK_Q4_K ? large_run(head, p, r, format) : small_run(head, p, r, format);
}

// Adds the products of up to 16 columns; `left` is a constant where it is 16.
CK_INLINE void add_run(const ck_ggml_run *run, const float *x, const ptrdiff_t left,
                       const int32_t format, v16f sums[4]) {
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) {
    if (i < left) sums[i % 4] = multiply_add(weights_of(run, i, format), splat(x[i]), sums[i % 4]);
  }
}

// One token straight from the blocks.
CK_INLINE void ggml_one(const ck_product *p, ptrdiff_t group, const int32_t format) {
  const ptrdiff_t columns = p->weights.columns, blocks = p->weights.blocks;
  const ptrdiff_t width = ck_ggml_block_columns(format);
  const ptrdiff_t step = CK_GROUP * ck_ggml_block_bytes(format);
  const uint8_t *block = p->weights.codes + group * blocks * step;
  v16f sums[4];
  for (int j = 0; j < 4; j++) sums[j] = splat(0.0f);
  for (ptrdiff_t first = 0; first < columns; first += width, block += step) {
    const ck_ggml_head head = head_of(block, format);
    for (int r = 0; r < width / 16 && first + 16 * r < columns; r++) {
      const ck_ggml_run run = run_of(&head, block, r, format);
      const float *x = p->x + first + 16 * r;
      const ptrdiff_t left = columns - first - 16 * r;
      if (left >= 16) {
        add_run(&run, x, 16, format, sums);
      } else {
        add_run(&run, x, left, format, sums);
      }
    }
  }
  finish(p, group, 0, (sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Decoded columns of 16 rows, and the sums of some tokens over the columns before.
typedef struct ck_ggml_panel {
  float weights[CK_GGML_PANEL_COLUMNS][CK_GROUP];
  float sums[CK_GGML_PANEL_TOKENS][4][CK_GROUP];
} ck_ggml_panel;

CK_INLINE void decode_panel(const ck_product *p, ck_ggml_panel *panel, ptrdiff_t group,
                            ptrdiff_t first, ptrdiff_t count, const int32_t format) {
  const ptrdiff_t width = ck_ggml_block_columns(format);
  const ptrdiff_t step = CK_GROUP * ck_ggml_block_bytes(format);
  const uint8_t *block = p->weights.codes + (group * p->weights.blocks + first / width) * step;
  for (ptrdiff_t c = 0; c < count; c += width, block += step) {
    const ck_ggml_head head = head_of(block, format);
    for (int r = 0; r < width / 16; r++) {
      const ck_ggml_run run = run_of(&head, block, r, format);
#pragma clang loop unroll(full)
      for (int i = 0; i < 16; i++) {
        store(panel->weights[c + 16 * r + i], weights_of(&run, i, format));
      }
    }
  }
}

// Adds the products of a panel's columns with some tokens.
CK_INLINE void add_panel(ck_ggml_panel *panel, const float *x, ptrdiff_t stride, ptrdiff_t count,
                         ptrdiff_t token, const int tokens) {
  v16f sums[4][CK_FLOAT_TOKENS];
  for (int j = 0; j < 4; j++) {
    for (int t = 0; t < tokens; t++) sums[j][t] = load(panel->sums[token + t][j]);
  }
  ptrdiff_t c = 0;
  for (; c + 4 <= count; c += 4) {
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
      const v16f w = load(panel->weights[c + j]);
#pragma clang loop unroll(full)
      for (int t = 0; t < tokens; t++) {
        sums[j][t] = multiply_add(w, splat(x[t * stride + c + j]), sums[j][t]);
      }
    }
  }
  for (int j = 0; c + j < count; j++) {
    const v16f w = load(panel->weights[c + j]);
    for (int t = 0; t < tokens; t++) {
      sums[j][t] = multiply_add(w, splat(x[t * stride + c + j]), sums[j][t]);
    }
  }
  for (int j = 0; j < 4; j++) {
    for (int t = 0; t < tokens; t++) store(panel->sums[token + t][j], sums[j][t]);
  }
}

// Some tokens with one group: the group is decoded once.
CK_INLINE void ggml_many(const ck_product *p, ck_ggml_panel *panel, ptrdiff_t group,
                         ptrdiff_t token, ptrdiff_t tokens, const int32_t format) {
  const ptrdiff_t columns = p->weights.columns;
  memset(panel->sums, 0, (size_t)tokens * sizeof panel->sums[0]);
  for (ptrdiff_t first = 0; first < columns; first += CK_GGML_PANEL_COLUMNS) {
    const ptrdiff_t left = columns - first;
    const ptrdiff_t count = left < CK_GGML_PANEL_COLUMNS ? left : CK_GGML_PANEL_COLUMNS;
    decode_panel(p, panel, group, first, count, format);
    const float *x = p->x + token * p->x_stride + first;
    ptrdiff_t t = 0;
    for (; t + CK_FLOAT_TOKENS <= tokens; t += CK_FLOAT_TOKENS) {
      add_panel(panel, x + t * p->x_stride, p->x_stride, count, t, CK_FLOAT_TOKENS);
    }
    for (; t < tokens; t++) add_panel(panel, x + t * p->x_stride, p->x_stride, count, t, 1);
  }
  for (ptrdiff_t t = 0; t < tokens; t++) {
    const float(*sums)[CK_GROUP] = panel->sums[t];
    finish(p, group, token + t,
           (load(sums[0]) + load(sums[1])) + (load(sums[2]) + load(sums[3])));
  }
}

CK_INLINE void multiply_ggml_as(const ck_product *p, ptrdiff_t first_group,
                                ptrdiff_t last_group, const int32_t format) {
  ck_ggml_panel panel;
  for (ptrdiff_t group = first_group; group < last_group; group++) {
    if (p->tokens == 1) {
      ggml_one(p, group, format);
      continue;
    }
    for (ptrdiff_t t = 0; t < p->tokens; t += CK_GGML_PANEL_TOKENS) {
      const ptrdiff_t left = p->tokens - t;
      const ptrdiff_t tokens = left < CK_GGML_PANEL_TOKENS ? left : CK_GGML_PANEL_TOKENS;
      ggml_many(p, &panel, group, t, tokens, format);
    }
  }
}

static void multiply_ggml(const ck_product *p, ptrdiff_t first_group, ptrdiff_t last_group) {
  switch (p->weights.format) {
    case CK_Q4_0: multiply_ggml_as(p, first_group, last_group, CK_Q4_0); break;
    case CK_Q4_1: multiply_ggml_as(p, first_group, last_group, CK_Q4_1); break;
    case CK_Q5_0: multiply_ggml_as(p, first_group, last_group, CK_Q5_0); break;
    case CK_Q5_1: multiply_ggml_as(p, first_group, last_group, CK_Q5_1); break;
    case CK_Q8_0: multiply_ggml_as(p, first_group, last_group, CK_Q8_0); break;
    case CK_IQ4_NL: multiply_ggml_as(p, first_group, last_group, CK_IQ4_NL); break;
    case CK_Q4_K: multiply_ggml_as(p, first_group, last_group, CK_Q4_K); break;
    case CK_Q5_K: multiply_ggml_as(p, first_group, last_group, CK_Q5_K); break;
    case CK_Q6_K: multiply_ggml_as(p, first_group, last_group, CK_Q6_K); break;
    default: multiply_ggml_as(p, first_group, last_group, CK_IQ4_XS); break;
  }
}

#endif
