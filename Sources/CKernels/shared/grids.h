// The grids of q4 side by side, for table lookups: the index is code | grid << 4.
#ifndef CK_GRIDS_H
#define CK_GRIDS_H

#include "ck_formats.h"

static const int8_t ck_grid_table[2][CK_Q4_GRID_SIZE] __attribute__((aligned(64))) = {
    CK_Q4_GRID_0, CK_Q4_GRID_1};

#endif
