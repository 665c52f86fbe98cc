/* Rows of floats in two bytes an element, as hidden states travel between nodes.
 *
 * A row has an exponent, which is the largest biased one of its elements, and each element the
 * layout of a 16-bit float: sign, 5 bits of exponent, 10 of fraction. Exponent field 30 means the
 * row's own, 29 half of it and so on; 0 means zero. So a row loses nothing to its size, and
 * elements are rounded to 11 significant bits, or to zero below 2^-29 of the largest power. */
#ifndef CK_WIRE_H
#define CK_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* Rounds a row, in place, to what two bytes hold. Doing it again changes nothing. */
void ck_round_for_wire(float *row, ptrdiff_t n);

/* Writes a rounded row, little-endian, without loss, and returns its exponent. */
uint8_t ck_row_to_wire(const float *row, ptrdiff_t n, uint8_t *halves);

/* The inverse. */
void ck_row_from_wire(const uint8_t *halves, ptrdiff_t n, uint8_t exponent, float *row);

#endif
