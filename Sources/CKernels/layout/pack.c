// From canonical rows to the interleaved layout.
#include "transpose.h"

// Nibbles of eight columns: canonical byte j holds columns 2j and 2j + 1; the packed byte k
// holds columns k and k + 4.
static inline uint32_t interleave_word(uint32_t x) {
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
    if (w->format == CK_Q4) word = interleave_word(word);
    const ptrdiff_t at = w->format == CK_Q4 ? ck_q4_word(w, row, j) : ck_q8_word(w, row, j);
    memcpy(w->codes + at, &word, sizeof word);
  }
}

void ck_pack_codes(const ck_weights *w, ptrdiff_t row, ptrdiff_t first, const uint8_t *source,
                   ptrdiff_t bytes) {
  if (ck_ggml_block_bytes(w->format) > 0) {
    uint8_t *target = w->codes + ck_ggml_byte(w, row, first);
    for (ptrdiff_t i = 0; i < bytes; i++) target[CK_GROUP * i] = source[i];
  } else if (w->format == CK_Q8 || w->format == CK_Q4) {
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

// Where the line of the word `j` of the first row of a group is.
static uint8_t *line_of(const ck_weights *w, ptrdiff_t row, ptrdiff_t j, enum transpose_kind kind) {
  switch (kind) {
    case AS_NIBBLES: return w->codes + ck_q4_word(w, row, j);
    case AS_SCALES: return w->codes + ck_q4_scale_index(w, row, 4 * j);
    case AS_HALVES: return w->codes + 2 * ck_float_index(w, row, 2 * j);
    case AS_WORDS: break;
  }
  return w->format == CK_F32 ? w->codes + 4 * ck_float_index(w, row, j)
                             : w->codes + ck_q8_word(w, row, j);
}

// Packs what makes up whole steps of 16 bytes of each row; returns how many bytes that are. A cache
// line of four rows at a time: in 16 rows of 4096 bytes each, all would fall into one cache set.
static inline ptrdiff_t pack_lines(const ck_weights *weights, ptrdiff_t row,
                                   const uint8_t *source, ptrdiff_t bytes,
                                   enum transpose_kind kind) {
  // A copy, which no store can change.
  const ck_weights copy = *weights, *w = &copy;
  const ptrdiff_t whole = bytes / 16 * 16, line = kind == AS_SCALES ? CK_Q4_UNIT : 64;
  const ptrdiff_t quad_bytes = kind == AS_HALVES ? 8 : 16;
  for (ptrdiff_t block = 0; block < whole; block += 64) {
    const ptrdiff_t end = block + 64 < whole ? block + 64 : whole;
    for (ptrdiff_t quad = 0; quad < 4; quad++) {
      for (ptrdiff_t i = block; i < end; i += 16) {
        transpose_words(line_of(w, row, i / 4, kind) + quad * quad_bytes, line,
                        source + 4 * quad * bytes + i, bytes, kind);
      }
    }
  }
  return whole;
}

void ck_pack_group_codes(const ck_weights *w, ptrdiff_t row, const uint8_t *source,
                         ptrdiff_t bytes) {
  ptrdiff_t done;
  if (ck_ggml_block_bytes(w->format) > 0) {
    uint8_t *target = w->codes + ck_ggml_byte(w, row, 0);
    for (done = 0; done + 16 <= bytes; done += 16) {
      transpose_bytes(target + CK_GROUP * done, source + done, bytes);
    }
  } else if (w->format == CK_Q4) {
    done = pack_lines(w, row, source, bytes, AS_NIBBLES);
  } else if (w->format == CK_F16 || w->format == CK_BF16) {
    done = pack_lines(w, row, source, bytes, AS_HALVES);
  } else {
    done = pack_lines(w, row, source, bytes, AS_WORDS);
  }
  for (ptrdiff_t i = 0; done < bytes && i < CK_GROUP; i++) {
    ck_pack_codes(w, row + i, done, source + i * bytes + done, bytes - done);
  }
}

void ck_pack_group_block_scales(const ck_weights *w, ptrdiff_t row, const uint8_t *source,
                                ptrdiff_t bytes) {
  const ptrdiff_t done =
      w->format == CK_Q4 ? pack_lines(w, row, source, bytes, AS_SCALES) : 0;
  for (ptrdiff_t i = 0; done < bytes && i < CK_GROUP; i++) {
    ck_pack_block_scales(w, row + i, done, source + i * bytes + done, bytes - done);
  }
}
