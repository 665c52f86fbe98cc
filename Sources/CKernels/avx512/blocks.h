// Decoding and dot products of quantized blocks with AVX-512 VNNI and VBMI: a register holds 16
// rows of four columns. Weights count as unsigned (+128), which the activations' offsets undo.
#ifndef CK_AVX512_BLOCKS_H
#define CK_AVX512_BLOCKS_H

#include <immintrin.h>

#include "../shared/grids.h"
#include "../shared/vector.h"
#include "ck_kernels.h"

typedef struct ck_block {
  __m512i codes[8];
  __m512i levels[2];
} ck_block;

CK_INLINE __m512i unsigned_grids(void) {
  const __m256i both = _mm256_load_si256((const __m256i *)ck_grid_table);
  return _mm512_xor_si512(_mm512_broadcast_i64x4(both), _mm512_set1_epi8((char)0x80));
}

CK_INLINE void load_block_q8(const ck_weights *w, ptrdiff_t group, ptrdiff_t block, ck_block *b) {
  const uint8_t *codes = w->codes + (group * w->blocks + block) * 512;
  for (int i = 0; i < 8; i++) {
    const __m512i raw = _mm512_loadu_si512(codes + 64 * i);
    b->codes[i] = _mm512_xor_si512(raw, _mm512_set1_epi8((char)0x80));
  }
}

CK_INLINE void load_block_q4(const ck_weights *w, ptrdiff_t group, ptrdiff_t block, ck_block *b) {
  const uint8_t *codes = w->codes + (group * w->blocks + block) * 256;
  const uint8_t *scales = w->block_scales + (group * w->blocks + block) * 2 * CK_GROUP;
  const __m512i table = unsigned_grids(), nibble = _mm512_set1_epi8(15);
  for (int half = 0; half < 2; half++) {
    const __m512i scale = _mm512_cvtepu8_epi32(
        _mm_loadu_si128((const __m128i *)(scales + half * CK_GROUP)));
    b->levels[half] = _mm512_sub_epi32(_mm512_and_si512(scale, _mm512_set1_epi32(254)),
                                       _mm512_set1_epi32(CK_Q4_SCALE_BIAS));
    const __mmask16 second = _mm512_test_epi32_mask(scale, _mm512_set1_epi32(1));
    const __m512i grid = _mm512_maskz_set1_epi32(second, 0x10101010);
    for (int i = 0; i < 2; i++) {
      const __m512i raw = _mm512_loadu_si512(codes + 64 * (2 * half + i));
      const __m512i shifted = _mm512_srli_epi16(raw, 4);
      // (raw & nibble) | grid
      const __m512i low = _mm512_ternarylogic_epi32(raw, nibble, grid, 0xea);
      const __m512i high = _mm512_ternarylogic_epi32(shifted, nibble, grid, 0xea);
      b->codes[4 * half + 2 * i] = _mm512_permutexvar_epi8(low, table);
      b->codes[4 * half + 2 * i + 1] = _mm512_permutexvar_epi8(high, table);
    }
  }
}

CK_INLINE void load_block(const ck_weights *w, ptrdiff_t group, ptrdiff_t block,
                          const int32_t format, ck_block *b) {
  if (format == CK_Q8) {
    load_block_q8(w, group, block, b);
  } else {
    load_block_q4(w, group, block, b);
  }
}

// Four columns of one token in every lane.
CK_INLINE __m512i four_columns(const int8_t *a) {
  int32_t word;
  memcpy(&word, a, sizeof word);
  return _mm512_set1_epi32(word);
}

// One row of codes against a block of q8: high bytes count 64 times.
CK_INLINE v16i dot_q8(const ck_block *b, const int8_t *a, const int32_t *offsets) {
  __m512i high = _mm512_setzero_si512(), low = _mm512_set1_epi32(offsets[0]);
  for (int i = 0; i < 8; i++) {
    high = _mm512_dpbusd_epi32(high, b->codes[i], four_columns(a + 4 * i));
    low = _mm512_dpbusd_epi32(low, b->codes[i], four_columns(a + CK_BLOCK + 4 * i));
  }
  return (v16i)_mm512_add_epi32(_mm512_slli_epi32(high, 6), low);
}

CK_INLINE v16i dot_block(const ck_block *b, const int8_t *a, const int32_t *offsets,
                         const int32_t format) {
  if (format == CK_Q8) return dot_q8(b, a, offsets);
  __m512i first = _mm512_set1_epi32(offsets[0]), second = _mm512_set1_epi32(offsets[1]);
  for (int i = 0; i < 4; i++) {
    first = _mm512_dpbusd_epi32(first, b->codes[i], four_columns(a + 4 * i));
    second = _mm512_dpbusd_epi32(second, b->codes[4 + i], four_columns(a + 16 + 4 * i));
  }
  return (v16i)_mm512_add_epi32(_mm512_mullo_epi32(first, b->levels[0]),
                                _mm512_mullo_epi32(second, b->levels[1]));
}

CK_INLINE void dot_blocks(const ck_block *b, const int8_t *a, ptrdiff_t a_stride,
                          const int32_t *offsets, ptrdiff_t offset_stride, const int tokens,
                          const int32_t format, v16i *dots) {
#pragma clang loop unroll(full)
  for (int t = 0; t < tokens; t++) {
    dots[t] = dot_block(b, a + t * a_stride, offsets + t * offset_stride, format);
  }
}

CK_INLINE v16i dot_one(const ck_weights *w, ptrdiff_t group, ptrdiff_t block, const int8_t *a,
                       const int32_t *offsets, const int32_t format) {
  ck_block b;
  load_block(w, group, block, format, &b);
  return dot_block(&b, a, offsets, format);
}

#endif
