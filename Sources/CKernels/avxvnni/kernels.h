// All kernels with products of bytes that add up in 32 bits. The including file chooses the target
// and CK_DPBUSD, which is the same instruction in one of two encodings.

// All functions that take or give vectors are inlined, so how they would be passed is no matter.
#pragma clang diagnostic ignored "-Wpsabi"

#define CK_TILE_GROUPS 1
#define CK_TILE_TOKENS 4
#define CK_TILE_BLOCKS 16
#define CK_FLOAT_TOKENS 2
#define CK_VALUE_VECTORS 1

#include "../avx2/halves.h"
#include "blocks.h"

#include "../shared/table.h"
