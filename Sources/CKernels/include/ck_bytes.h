/* The bytes of numbers, taken apart: byte p of every number stands in part p. What bundles
 * compress. */
#ifndef CK_BYTES_H
#define CK_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* Numbers of `width` bytes, 2 or 4, to `width` parts of `count` bytes, one after the other. */
void ck_split_bytes(const uint8_t *numbers, size_t count, size_t width, uint8_t *parts);

/* The inverse, for numbers `first` to `first + count` of `total`. */
void ck_join_bytes(const uint8_t *parts, size_t total, size_t first, size_t count, size_t width,
                   uint8_t *numbers);

/* Adds how often each byte stands at the offsets p, p + 4, p + 8 ... to table p of
 * the four at `counts`, each of 256. */
void ck_count_bytes(const uint8_t *bytes, size_t count, uint32_t *counts);

#endif
