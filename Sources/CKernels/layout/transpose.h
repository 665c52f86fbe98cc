// Canonical rows to packed lines of 64 bytes, four rows and four words at once. Plain vectors of 16
// bytes, which every processor we compile for has.
#ifndef CK_TRANSPOSE_H
#define CK_TRANSPOSE_H

#include "layout.h"

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint16_t halves8 __attribute__((vector_size(16)));
typedef uint32_t words4 __attribute__((vector_size(16)));

static inline words4 load_words(const uint8_t *source) {
  words4 x;
  memcpy(&x, source, sizeof x);
  return x;
}

static inline void store_words(uint8_t *target, words4 x) { memcpy(target, &x, sizeof x); }

// In each word the nibbles of columns 2j and 2j + 1 in byte j become those of columns k and k + 4
// in byte k.
static inline words4 interleave_nibbles(words4 x) {
  const bytes16 even = (bytes16)(x & 0x0f0f0f0f), odd = (bytes16)(x >> 4 & 0x0f0f0f0f);
  const words4 a = (words4)__builtin_shufflevector(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20,
                                                   5, 21, 6, 22, 7, 23);
  const words4 b = (words4)__builtin_shufflevector(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12,
                                                   28, 13, 29, 14, 30, 15, 31);
  return __builtin_shufflevector(a, b, 0, 2, 4, 6) |
         __builtin_shufflevector(a, b, 1, 3, 5, 7) << 4;
}

// Rows of words to columns of words.
static inline void transpose4(words4 x[4]) {
  const words4 a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5);
  const words4 b = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5);
  const words4 c = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
  const words4 d = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
  x[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  x[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  x[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  x[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// 16 bytes of 16 rows to 16 columns of bytes: four perfect shuffles.
static inline void transpose_bytes(uint8_t *target, const uint8_t *source, ptrdiff_t stride) {
  bytes16 x[16], y[16];
  for (int i = 0; i < 16; i++) memcpy(&x[i], source + i * stride, sizeof x[i]);
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < 8; i++) {
      y[2 * i] = __builtin_shufflevector(x[i], x[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21,
                                         6, 22, 7, 23);
      y[2 * i + 1] = __builtin_shufflevector(x[i], x[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                             13, 29, 14, 30, 15, 31);
    }
    memcpy(x, y, sizeof x);
  }
  memcpy(target, x, sizeof x);
}

// What the words of a row become on their way.
enum transpose_kind { AS_WORDS, AS_HALVES, AS_NIBBLES, AS_SCALES };

// Four words of four rows to four lines, `line` bytes apart.
static inline void transpose_words(uint8_t *target, ptrdiff_t line, const uint8_t *source,
                                   ptrdiff_t stride, enum transpose_kind kind) {
  words4 x[4];
  for (ptrdiff_t row = 0; row < 4; row++) {
    x[row] = load_words(source + row * stride);
    if (kind == AS_NIBBLES) x[row] = interleave_nibbles(x[row]);
    if (kind == AS_SCALES) x[row] ^= 0x80808080;
  }
  transpose4(x);
  for (ptrdiff_t j = 0; j < 4; j++) {
    if (kind != AS_HALVES) {
      store_words(target + j * line, x[j]);
      continue;
    }
    // A word holds two columns; each has a line of 32 bytes.
    const halves8 pairs = (halves8)x[j];
    const halves8 columns = __builtin_shufflevector(pairs, pairs, 0, 2, 4, 6, 1, 3, 5, 7);
    memcpy(target + j * line, &columns, 8);
    memcpy(target + j * line + 32, (const uint8_t *)&columns + 8, 8);
  }
}

#endif
