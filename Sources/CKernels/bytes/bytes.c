// Byte planes and histograms, on little-endian machines. Compilers turn the loops of fixed width
// into shuffles.
#include "ck_bytes.h"

#include <string.h>

static inline uint16_t load16(const uint8_t *at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static inline uint32_t load32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static void split2(const uint8_t *restrict numbers, size_t count, uint8_t *restrict low,
                   uint8_t *restrict high) {
  for (size_t i = 0; i < count; i++) {
    const uint16_t value = load16(numbers + 2 * i);
    low[i] = (uint8_t)value;
    high[i] = (uint8_t)(value >> 8);
  }
}

static void split4(const uint8_t *restrict numbers, size_t count, uint8_t *restrict parts) {
  for (size_t part = 0; part < 4; part++) {
    for (size_t i = 0; i < count; i++) {
      parts[part * count + i] = (uint8_t)(load32(numbers + 4 * i) >> 8 * part);
    }
  }
}

void ck_split_bytes(const uint8_t *numbers, size_t count, size_t width, uint8_t *parts) {
  if (width == 2) {
    split2(numbers, count, parts, parts + count);
  } else {
    split4(numbers, count, parts);
  }
}

static void join2(const uint8_t *restrict low, const uint8_t *restrict high, size_t count,
                  uint8_t *restrict numbers) {
  for (size_t i = 0; i < count; i++) {
    numbers[2 * i] = low[i];
    numbers[2 * i + 1] = high[i];
  }
}

static void join4(const uint8_t *restrict a, const uint8_t *restrict b,
                  const uint8_t *restrict c, const uint8_t *restrict d, size_t count,
                  uint8_t *restrict numbers) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t value =
        (uint32_t)a[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16 | (uint32_t)d[i] << 24;
    memcpy(numbers + 4 * i, &value, sizeof value);
  }
}

void ck_join_bytes(const uint8_t *parts, size_t total, size_t first, size_t count, size_t width,
                   uint8_t *numbers) {
  const uint8_t *from = parts + first;
  if (width == 2) {
    join2(from, from + total, count, numbers);
  } else {
    join4(from, from + total, from + 2 * total, from + 3 * total, count, numbers);
  }
}

// Four tables, so that equal neighbours do not wait for each other's store.
void ck_count_bytes(const uint8_t *bytes, size_t count, uint32_t *tables) {
  uint32_t(*counts)[256] = (uint32_t(*)[256])tables;
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    uint64_t word;
    memcpy(&word, bytes + i, sizeof word);
    counts[0][word & 255]++;
    counts[1][word >> 8 & 255]++;
    counts[2][word >> 16 & 255]++;
    counts[3][word >> 24 & 255]++;
    counts[0][word >> 32 & 255]++;
    counts[1][word >> 40 & 255]++;
    counts[2][word >> 48 & 255]++;
    counts[3][word >> 56]++;
  }
  for (; i < count; i++) counts[i & 3][bytes[i]]++;
}
