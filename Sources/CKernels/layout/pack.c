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
  uint8_t *target = w->codes + ck_word_offset(w, row, first / 4);
  for (ptrdiff_t i = 0; i + 4 <= bytes; i += 4, target += 4 * CK_GROUP) {
    uint32_t word;
    memcpy(&word, source + i, sizeof word);
    if (w->format == CK_Q4) word = interleave_nibbles(word);
    memcpy(target, &word, sizeof word);
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
  const ptrdiff_t count = w->blocks * (w->format == CK_Q4 ? 2 : 1);
  uint8_t *target = w->block_scales + ck_scale_index(count, row, first);
  for (ptrdiff_t i = 0; i < bytes; i++) target[i * CK_GROUP] = source[i];
}
