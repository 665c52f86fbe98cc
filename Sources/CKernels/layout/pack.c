// From canonical rows to the interleaved layout.
#include "layout.h"

// Nibbles of eight columns: canonical byte j holds columns 2j and 2j + 1; the packed byte k
// holds columns k and k + 4.
static inline uint32_t interleave_nibbles(uint32_t x) {
  const uint32_t low = x & 0xffff, high = x >> 16;
  // Four nibbles spread to four bytes.
  const uint32_t a = (low | low << 8) & 0x00ff00ff;
  const uint32_t b = (high | high << 8) & 0x00ff00ff;
  return ((a | a << 4) & 0x0f0f0f0f) | ((b | b << 4) & 0x0f0f0f0f) << 4;
}

static void pack_words(const ck_weights *w, ptrdiff_t row, ptrdiff_t first,
                       const uint8_t *source, ptrdiff_t bytes) {
  for (ptrdiff_t i = 0; i + 4 <= bytes; i += 4) {
    const ptrdiff_t j = (first + i) / 4;
    uint32_t word;
    memcpy(&word, source + i, sizeof word);
    if (w->format == CK_Q4) word = interleave_nibbles(word);
    const ptrdiff_t at = w->format == CK_Q4 ? ck_q4_word(w, row, j) : ck_q8_word(w, row, j);
    memcpy(w->codes + at, &word, sizeof word);
  }
}

void ck_pack_codes(const ck_weights *w, ptrdiff_t row, ptrdiff_t first, const uint8_t *source,
                   ptrdiff_t bytes) {
  if (w->format == CK_Q8 || w->format == CK_Q4) {
    pack_words(w, row, first, source, bytes);
  } else if (w->format == CK_F32) {
    uint8_t *target = w->codes + 4 * ck_float_index(w, row, first / 4);
    for (ptrdiff_t i = 0; i + 4 <= bytes; i += 4, target += 4 * CK_GROUP) {
      memcpy(target, source + i, 4);
    }
  } else {
    uint8_t *target = w->codes + 2 * ck_float_index(w, row, first / 2);
    for (ptrdiff_t i = 0; i + 2 <= bytes; i += 2, target += 2 * CK_GROUP) {
      memcpy(target, source + i, 2);
    }
  }
}

void ck_pack_block_scales(const ck_weights *w, ptrdiff_t row, ptrdiff_t first,
                          const uint8_t *source, ptrdiff_t bytes) {
  for (ptrdiff_t i = 0; i < bytes; i++) {
    if (w->format == CK_Q4) {
      w->codes[ck_q4_scale_index(w, row, first + i)] = source[i] ^ 0x80;
    } else {
      w->block_scales[ck_scale_index(w->blocks, row, first + i)] = source[i];
    }
  }
}
