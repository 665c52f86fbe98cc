// The 13-bit codes of q8's activations where products of bytes add up in 32 bits.
#ifndef CK_FINE_H
#define CK_FINE_H

#include "vector.h"

// Codes c as 32 high bytes (c + 32) >> 6 and then 32 low bytes c - 64 * high.
CK_INLINE void store_fine(int8_t *codes, v16i first, v16i second) {
  const v16i high[2] = {(first + 32) >> 6, (second + 32) >> 6};
  store_bytes(codes, high[0]);
  store_bytes(codes + 16, high[1]);
  store_bytes(codes + CK_BLOCK, first - 64 * high[0]);
  store_bytes(codes + CK_BLOCK + 16, second - 64 * high[1]);
}

#endif
