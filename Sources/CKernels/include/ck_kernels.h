// Kernels of one instruction set as a table of functions. Every set computes the same bits as
// `reference`; docs/kernels.md says in which order each sum accumulates.
#ifndef CK_KERNELS_H
#define CK_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// Rows that stand side by side in a packed matrix: one SIMD lane each.
#define CK_GROUP 16
/// Columns that share one activation scale.
#define CK_BLOCK 32
/// Bytes of 16 rows and 64 columns of q4.
#define CK_Q4_UNIT 576
/// Queries that an attention call treats together.
#define CK_QUERIES 8
/// Largest dimension of an attention head, rounded up to 16.
#define CK_HEAD_LIMIT 1024

enum { CK_F32 = 0, CK_F16 = 1, CK_BF16 = 2, CK_Q8 = 3, CK_Q4 = 4 };  // and those of ck_ggml.h
enum { CK_SILU = 0, CK_GELU_TANH = 1, CK_GELU_ERF = 2, CK_RELU = 3, CK_GELU_QUICK = 4 };
enum { CK_REFERENCE = 0, CK_AVX2 = 1, CK_AVX512 = 2, CK_NEON = 3, CK_AVXVNNI = 4 };

/// A packed weight matrix: groups of 16 rows, one after the other.
///
/// codes, per group:
///   f32, f16, bf16  [columns][16 rows]
///   q8              [blocks * 8][16 rows][4 columns] signed bytes
///   q4              [blocks / 2] units of 64 columns, 576 bytes each:
///                   [16 rows][4] scales of 16 columns each, with their top bit flipped;
///                   [8][16 rows][4 bytes]: of eight columns c … c + 7, byte k holds column c + k
///                   in its low nibble and column c + k + 4 in its high one
///   ggml            [bytes of a row][16 rows], see ck_ggml.h
/// block_scales, per group: q8 [blocks][16 rows]
/// row_scales: [groups * 16], zero in rows that only fill the last group
typedef struct ck_weights {
  int32_t format;
  ptrdiff_t rows;
  ptrdiff_t columns;
  ptrdiff_t blocks;  // of 32 columns; an even number in q4; of the format in those of ggml
  uint8_t *codes;
  uint8_t *_Nullable block_scales;
  float *_Nullable row_scales;
} ck_weights;

/// Activations as integers, each row in blocks of 32 columns, an even number of them: in 8 bits for
/// q4 weights, and in 13 bits for q8 weights, whose accuracy 8 bits would spoil. All is zero beyond
/// the columns.
///
/// Two bytes hold a fine code, at most 4095 in magnitude; in which form, is up to the kernels.
typedef struct ck_activations {
  int8_t *_Nullable codes;         // [row][code_stride]
  uint8_t *_Nullable raised_codes; // the same + 128; only AVX2 makes and takes them
  float *_Nullable scales;         // [row][blocks]
  int16_t *_Nullable sums;         // [row][blocks][2]: of each 16 codes
  int32_t *_Nullable offsets;      // [row][blocks][2]: -64 times those
  int8_t *_Nullable fine_codes;    // [row][2 * code_stride]
  float *_Nullable fine_scales;    // [row][blocks]
  int32_t *_Nullable fine_offsets; // [row][blocks]: -128 times the sum of 32 codes
  ptrdiff_t code_stride;           // bytes
  ptrdiff_t blocks;
} ck_activations;

/// y[t][r] = sum over c of w[r][c] * x[t][c] (+ bias[r]).
typedef struct ck_product {
  ck_weights weights;
  const float *x; // f32, f16 and bf16 weights
  ptrdiff_t x_stride;
  ck_activations quantized; // q8 and q4 weights
  ptrdiff_t tokens;
  const float *_Nullable bias;
  float *y;
  ptrdiff_t y_stride;
} ck_product;

/// Keys and values of one layer: a ring of `capacity` positions, a multiple of 16.
///
/// keys   [head][capacity / 16][head_dimension][16 positions]
/// values [head][capacity][padded_dimension]
typedef struct ck_cache {
  int32_t is_f16;
  ptrdiff_t heads;
  ptrdiff_t head_dimension;
  ptrdiff_t padded_dimension;
  ptrdiff_t capacity;
  void *keys;
  void *values;
} ck_cache;

typedef struct ck_attention {
  ck_cache cache;
  ptrdiff_t heads;
  float scale;
  float softcap;    // 0: none
  ptrdiff_t window; // 0: none
  ptrdiff_t first_position;
  const float *q;
  ptrdiff_t q_stride;
  float *y;
  ptrdiff_t y_stride;
} ck_attention;

typedef struct ck_rotary {
  ptrdiff_t heads;
  ptrdiff_t head_dimension;
  ptrdiff_t half_dimension; // pairs that turn
  int32_t interleaved;      // pairs (2k, 2k + 1) instead of (k, k + half)
} ck_rotary;

typedef struct ck_kernels {
  // Linear layers.
  void (*quantize)(const float *x, ptrdiff_t columns, ptrdiff_t row,
                   const ck_activations *activations);
  void (*multiply)(const ck_product *product, ptrdiff_t first_group, ptrdiff_t last_group);
  void (*gather)(const ck_weights *weights, ptrdiff_t row, float *y);
  // Rows of floats.
  void (*rms_norm)(const float *x, const float *weight, float weight_offset, float epsilon,
                   ptrdiff_t n, float *y);
  void (*layer_norm)(const float *x, const float *weight, const float *_Nullable bias,
                     float epsilon, ptrdiff_t n, float *y);
  void (*add)(const float *x, float *y, ptrdiff_t n);
  void (*scale)(float *x, float factor, ptrdiff_t n);
  void (*softcap)(float *x, float cap, ptrdiff_t n);
  void (*activate)(float *x, int32_t activation, ptrdiff_t n);
  void (*gate)(float *gate, const float *up, int32_t activation, ptrdiff_t n);
  void (*rotate)(float *x, const float *cosines, const float *sines, const ck_rotary *rotary);
  ptrdiff_t (*argmax)(const float *x, ptrdiff_t n);
  double (*log_sum_exp)(const float *x, ptrdiff_t n);
  // Attention.
  void (*store)(const ck_cache *cache, const float *keys, const float *values,
                ptrdiff_t position);
  void (*attend)(const ck_attention *attention, ptrdiff_t kv_head, ptrdiff_t first_row,
                 ptrdiff_t last_row, float *scratch);
  // Conversions.
  void (*f16_to_f32)(const void *source, float *target, ptrdiff_t n);
  void (*bf16_to_f32)(const void *source, float *target, ptrdiff_t n);
  void (*f32_to_f16)(const float *source, void *target, ptrdiff_t n);
  void (*f32_to_bf16)(const float *source, void *target, ptrdiff_t n);
  int32_t (*all_finite)(const float *source, ptrdiff_t n);
  // Measurement: reads all bytes.
  uint64_t (*read)(const void *source, ptrdiff_t bytes);
} ck_kernels;

/// The kernels of one instruction set; null where this processor or this build lacks them.
const ck_kernels *_Nullable ck_kernels_find(int32_t instruction_set);

/// Floats of scratch memory that `attend` needs for rows that attend to `span` positions.
ptrdiff_t ck_attention_scratch(ptrdiff_t span);

/// Writes canonical bytes of one row's codes (bytes `first` …) into a packed matrix.
///
/// Precondition: `first` is a multiple of 4.
void ck_pack_codes(const ck_weights *weights, ptrdiff_t row, ptrdiff_t first,
                   const uint8_t *source, ptrdiff_t bytes);

/// Writes canonical block scales of one row (from block `first` on) into a packed matrix.
void ck_pack_block_scales(const ck_weights *weights, ptrdiff_t row, ptrdiff_t first,
                          const uint8_t *source, ptrdiff_t bytes);

/// The same for the codes of all 16 rows of a group, `bytes` each, one behind the other.
///
/// Precondition: `row` is a multiple of 16.
void ck_pack_group_codes(const ck_weights *weights, ptrdiff_t row, const uint8_t *source,
                         ptrdiff_t bytes);

/// The same for their block scales.
void ck_pack_group_block_scales(const ck_weights *weights, ptrdiff_t row, const uint8_t *source,
                                ptrdiff_t bytes);

#pragma clang assume_nonnull end
#endif
