// Halves of the q4 grid values side by side, for table lookups: the index is code | grid << 4.
#ifndef CK_GRIDS_H
#define CK_GRIDS_H

#include "ck_formats.h"

#define CK_HALF_0(half) half
#define CK_HALF_1(half) half + CK_Q4_HALF_SHIFT

static const int8_t ck_half_grids[2][CK_Q4_GRID_SIZE] __attribute__((aligned(64))) = {
    CK_Q4_HALVES(CK_HALF_0), CK_Q4_HALVES(CK_HALF_1)};

#endif
