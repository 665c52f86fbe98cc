// Integers all the way: the same bits on every machine, and loops that compilers vectorise.
#include "ck_wire.h"

#include <string.h>

#define MAGNITUDE 0x7FFFFFFFu
#define INFINITE 0x7F800000u
// Bits of the fraction that two bytes leave out.
#define DROPPED 13
// The exponent field of elements that have the row's own exponent.
#define TOP 30

static inline uint32_t bits_of(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static inline float float_of(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

// To the nearest with 10 bits of fraction, ties to even; all that is no number becomes one value.
static inline uint32_t rounded(uint32_t u) {
  const uint32_t sign = u & ~MAGNITUDE, magnitude = u & MAGNITUDE;
  const uint32_t even = (magnitude >> DROPPED) & 1;
  const uint32_t near =
      (magnitude + ((1u << (DROPPED - 1)) - 1) + even) & ~((1u << DROPPED) - 1);
  return sign | (magnitude > INFINITE ? INFINITE | 1u << 22 : near);
}

static uint32_t largest(const float *row, ptrdiff_t n) {
  uint32_t most = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    const uint32_t magnitude = bits_of(row[i]) & MAGNITUDE;
    most = most > magnitude ? most : magnitude;
  }
  return most;
}

// The smallest magnitude that has an exponent field of 1 or more in a row of this exponent.
static inline uint32_t least(uint32_t exponent) {
  return (exponent > TOP ? exponent - TOP + 1 : 1) << 23;
}

void ck_round_for_wire(float *row, ptrdiff_t n) {
  const uint32_t floor = least((rounded(largest(row, n)) & MAGNITUDE) >> 23);
  for (ptrdiff_t i = 0; i < n; i++) {
    const uint32_t near = rounded(bits_of(row[i]));
    row[i] = float_of((near & MAGNITUDE) >= floor ? near : near & ~MAGNITUDE);
  }
}

uint8_t ck_row_to_wire(const float *row, ptrdiff_t n, uint8_t *halves) {
  const uint32_t exponent = largest(row, n) >> 23;
  const uint32_t floor = least(exponent);
  // What stands below field 1 of the smallest exponent; it may be below zero, modulo 2^32.
  const uint32_t base = (exponent - TOP) << 23;
  for (ptrdiff_t i = 0; i < n; i++) {
    const uint32_t u = bits_of(row[i]), magnitude = u & MAGNITUDE;
    const uint32_t field = magnitude >= floor ? (magnitude - base) >> DROPPED : 0;
    const uint16_t half = (uint16_t)((u >> 16 & 0x8000u) | field);
    memcpy(halves + 2 * i, &half, sizeof half);
  }
  return (uint8_t)exponent;
}

void ck_row_from_wire(const uint8_t *halves, ptrdiff_t n, uint8_t exponent, float *row) {
  const uint32_t base = ((uint32_t)exponent - TOP) << 23;
  for (ptrdiff_t i = 0; i < n; i++) {
    uint16_t half;
    memcpy(&half, halves + 2 * i, sizeof half);
    const uint32_t field = half & 0x7FFFu;
    const uint32_t magnitude = field != 0 ? ((field << DROPPED) + base) & MAGNITUDE : 0;
    row[i] = float_of((uint32_t)(half & 0x8000u) << 16 | magnitude);
  }
}
