/* The encoder of q4. For each block of 16 a search over scales, grids and signs; then one scale
 * for the row, block scales relative to it, codes that know the rounded block scales, and the row
 * scale again, fitted to these codes.
 *
 * With codes q fixed, the best scale of a block is A/B and lowers its error by A^2/B, where
 * A = sum(w x q) and B = sum(w q^2). The weights w lie between plain squared error (w = 1) and the
 * emphasis on large elements (w = x^2): that keeps a model's output closest. */
#include "ck_quantize.h"
#include "tile.h"

#pragma STDC FP_CONTRACT OFF

enum {
  GRID = CK_Q4_GRID_SIZE,
  /* Candidate scales for each grid and sign: they put the block's largest element at the grid
   * positions from the first to the last reach. */
  SCALES = 8,
  FIRST_REACH = 80,
  LAST_REACH = 156,
  /* Parts of a grid step that rounding to codes sees. */
  FINE = 64
};

static const int8_t grids[2][GRID] = {CK_Q4_GRID_0, CK_Q4_GRID_1};

typedef struct {
  lanes_f32 a, b;
} sums;

/* ---- search: which grid, which sign, which scale ---- */

/* The signed scale with the codes that won, and the grid. */
typedef struct {
  lanes_f32 gain, scale;
  lanes_i32 grid;
} finding;

/* x times `reach`, rounded to whole numbers from -127 to 127; |x| is at most 1. */
INLINE lanes_i8 coarse_position(lanes_f32 x, float reach) {
  lanes_i16 t = __builtin_convertvector(nearest_whole(x * reach), lanes_i16);
  t = __builtin_elementwise_min(t, (lanes_i16){0} + (int16_t)127);
  t = __builtin_elementwise_max(t, (lanes_i16){0} - (int16_t)127);
  return __builtin_convertvector(t, lanes_i8);
}

/* The grid value nearest to each position. */
INLINE lanes_f32 coarse_value(const int8_t *grid, lanes_i8 position) {
  lanes_i8 value = (lanes_i8){0} + grid[0];
  _Pragma("clang loop unroll(full)") for (int k = 0; k + 1 < GRID; k++) {
    int middle = grid[k] + grid[k + 1];
    int8_t below = (int8_t)((middle - (middle & 1)) / 2);
    value += (position > below) & (int8_t)(grid[k + 1] - grid[k]);
  }
  return __builtin_convertvector(value, lanes_f32);
}

INLINE void try_grid(
    int grid, int sign, const lanes_i8 *positions, const lanes_f32 *wx, const lanes_f32 *w,
    finding *best) {
  lanes_f32 a = {0}, b = {0};
  for (int i = 0; i < BLOCK; i++) {
    lanes_f32 q = coarse_value(grids[grid], sign < 0 ? -positions[i] : positions[i]);
    a += wx[i] * q;
    b += w[i] * (q * q);
  }
  lanes_f32 scale = a / b;
  lanes_f32 gain = a * scale;
  lanes_i32 better = gain > best->gain;
  best->gain = choose(better, gain, best->gain);
  best->scale = choose(better, scale, best->scale);
  best->grid = choose_int(better, (lanes_i32){0} + grid, best->grid);
}

INLINE finding search(const tile *t) {
  lanes_f32 most = {0};
  for (int i = 0; i < BLOCK; i++) {
    lanes_f32 m = magnitudes(t->x[i]);
    most = choose(m > most, m, most);
  }
  /* Blocks far below the row's largest weight decode to almost nothing, whatever is chosen. */
  const lanes_i32 tiny = most < 0x1p-40f;
  const lanes_f32 inverse = 1.0f / choose(tiny, (lanes_f32){0} + 1.0f, most);
  lanes_f32 x[BLOCK], wx[BLOCK], w[BLOCK];
  for (int i = 0; i < BLOCK; i++) {
    x[i] = t->x[i] * inverse;
    w[i] = t->weight[i] * (inverse * inverse);
    wx[i] = w[i] * x[i];
  }
  finding best = {.gain = (lanes_f32){0}, .scale = {0}, .grid = {0}};
  for (int s = 0; s < SCALES; s++) {
    lanes_i8 positions[BLOCK];
    float reach =
        FIRST_REACH + (float)(LAST_REACH - FIRST_REACH) * (float)s / (float)(SCALES - 1);
    for (int i = 0; i < BLOCK; i++) positions[i] = coarse_position(x[i], reach);
    try_grid(0, 1, positions, wx, w, &best);
    try_grid(0, -1, positions, wx, w, &best);
    try_grid(1, 1, positions, wx, w, &best);
    try_grid(1, -1, positions, wx, w, &best);
  }
  best.scale = choose(tiny, (lanes_f32){0}, best.scale * most);
  return best;
}

/* ---- block scales and codes against the row scale ---- */

/* Positions on the grid in steps of 1/FINE. */
INLINE lanes_i16 fine_position(lanes_f32 x, lanes_f32 inverse) {
  lanes_i32 t = nearest_whole(x * (inverse * FINE));
  t = __builtin_elementwise_min(t, (lanes_i32){0} + 127 * FINE);
  t = __builtin_elementwise_max(t, (lanes_i32){0} - 127 * FINE);
  return __builtin_convertvector(t, lanes_i16);
}

/* The grids of 32 blocks: midpoints between neighbours and steps from one to the next. */
typedef struct {
  lanes_i16 first, middle[GRID - 1], step[GRID - 1];
} lane_grids;

INLINE lane_grids make_grids(lanes_i32 grid) {
  lanes_i16 second = __builtin_convertvector(grid, lanes_i16) != 0;
  lane_grids g;
  g.first = (second & (int16_t)grids[1][0]) | (~second & (int16_t)grids[0][0]);
  for (int k = 0; k + 1 < GRID; k++) {
    int16_t middle0 = (int16_t)((grids[0][k] + grids[0][k + 1]) * (FINE / 2));
    int16_t middle1 = (int16_t)((grids[1][k] + grids[1][k + 1]) * (FINE / 2));
    int16_t step0 = (int16_t)(grids[0][k + 1] - grids[0][k]);
    int16_t step1 = (int16_t)(grids[1][k + 1] - grids[1][k]);
    g.middle[k] = (second & middle1) | (~second & middle0);
    g.step[k] = (second & step1) | (~second & step0);
  }
  return g;
}

INLINE sums fixed_scale_sums(const tile *t, const lane_grids *g, lanes_f32 inverse) {
  sums s = {{0}, {0}};
  for (int i = 0; i < BLOCK; i++) {
    lanes_i16 position = fine_position(t->x[i], inverse);
    lanes_i16 value = g->first;
    _Pragma("clang loop unroll(full)") for (int k = 0; k + 1 < GRID; k++) value +=
        (position > g->middle[k]) & g->step[k];
    lanes_f32 q = __builtin_convertvector(value, lanes_f32);
    s.a += t->weight[i] * t->x[i] * q;
    s.b += t->weight[i] * (q * q);
  }
  return s;
}

/* Odd numbers from -127 to 127 nearest to x. */
INLINE lanes_i32 nearest_odd(lanes_f32 x) {
  lanes_f32 m = magnitudes(x);
  m = choose(m > 126, (lanes_f32){0} + 126.0f, m);
  lanes_i32 odd = 2 * __builtin_convertvector(m * 0.5f, lanes_i32) + 1;
  lanes_i32 negative = x < 0;
  return choose_int(negative, -odd, odd);
}

INLINE lanes_f32 inverse_scale(lanes_f32 scale) {
  lanes_i32 zero = scale == 0;
  return choose(zero, (lanes_f32){0}, 1.0f / choose(zero, (lanes_f32){0} + 1.0f, scale));
}

/* The block scale among l - 2, l and l + 2 with the least error, and the sums with its codes. */
INLINE lanes_i32 best_block_scale(
    const tile *t, const lane_grids *g, lanes_f32 row_scale, lanes_i32 l, sums *chosen) {
  lanes_f32 least = {0};
  lanes_i32 best = l;
  for (int step = 0; step < 3; step++) {
    lanes_i32 candidate = step == 0 ? l : step == 1 ? l - 2 : l + 2;
    lanes_i32 outside = (candidate > 127) | (candidate < -127);
    candidate = choose_int(outside, l, candidate);
    lanes_f32 level = __builtin_convertvector(candidate, lanes_f32);
    lanes_f32 scale = row_scale * level;
    sums s = fixed_scale_sums(t, g, inverse_scale(scale));
    /* sum(w (x - scale q)^2) without the part that all candidates share. */
    lanes_f32 error = scale * (scale * s.b - 2 * s.a);
    lanes_i32 better = step == 0 ? (lanes_i32){0} - 1 : error < least;
    least = choose(better, error, least);
    best = choose_int(better, candidate, best);
    chosen->a = choose(better, level * s.a, chosen->a);
    chosen->b = choose(better, level * level * s.b, chosen->b);
  }
  return best;
}

INLINE void store_codes(
    const tile *t, const lane_grids *g, lanes_f32 scale, size_t count, uint8_t *codes) {
  lanes_f32 inverse = inverse_scale(scale);
  int8_t code[BLOCK][LANES] __attribute__((aligned(64)));
  for (int i = 0; i < BLOCK; i++) {
    lanes_i16 position = fine_position(t->x[i], inverse);
    lanes_i16 index = {0};
    _Pragma("clang loop unroll(full)") for (int k = 0; k + 1 < GRID; k++) index -=
        position > g->middle[k];
    lanes_i8 narrow = __builtin_convertvector(index, lanes_i8);
    memcpy(code[i], &narrow, sizeof narrow);
  }
  for (size_t lane = 0; lane < count; lane++)
    for (int i = 0; i < BLOCK / 2; i++)
      codes[lane * (BLOCK / 2) + i] =
          (uint8_t)(code[2 * i][lane] | code[2 * i + 1][lane] << 4);
}

/* ---- groups of rows ---- */

/* The search leaves each block's scale in the place of its codes and its grid in the place of its
 * block scale; the second pass overwrites both. */
INLINE void search_group(const row_group *group, uint8_t *block_scale, uint8_t *codes) {
  size_t total = group->rows * group->blocks;
  for (size_t first = 0; first < total; first += LANES) {
    tile t;
    load_tile(group, first, &t);
    finding best = search(&t);
    size_t count = total - first < LANES ? total - first : LANES;
    for (size_t lane = 0; lane < count; lane++) {
      float scale = best.scale[lane];
      memcpy(codes + (first + lane) * (BLOCK / 2), &scale, sizeof scale);
      block_scale[first + lane] = (uint8_t)best.grid[lane];
    }
  }
}

/* Row scales that let the largest block scale be 127. */
INLINE void first_row_scales(row_group *group, const uint8_t *codes) {
  for (size_t row = 0; row < group->rows; row++) {
    float most = 0;
    for (size_t b = row * group->blocks; b < (row + 1) * group->blocks; b++) {
      float scale;
      memcpy(&scale, codes + b * (BLOCK / 2), sizeof scale);
      scale = scale < 0 ? -scale : scale;
      most = scale > most ? scale : most;
    }
    group->scale[row] = most / 127.0f;
  }
}

/* What the search has found, as lanes. */
typedef struct {
  lanes_f32 row_scale, scale;
  lanes_i32 grid;
} found;

INLINE found load_found(
    const row_group *group, size_t first, size_t count, const uint8_t *block_scale,
    const uint8_t *codes) {
  float row_scale[LANES] = {0}, scale[LANES] = {0};
  int32_t grid[LANES] = {0};
  for (size_t lane = 0; lane < count; lane++) {
    row_scale[lane] = group->scale[(first + lane) / group->blocks];
    memcpy(&scale[lane], codes + (first + lane) * (BLOCK / 2), sizeof(float));
    grid[lane] = block_scale[first + lane];
  }
  found f;
  memcpy(&f.row_scale, row_scale, sizeof row_scale);
  memcpy(&f.scale, scale, sizeof scale);
  memcpy(&f.grid, grid, sizeof grid);
  return f;
}

INLINE void code_group(row_group *group, uint8_t *block_scale, uint8_t *codes) {
  size_t total = group->rows * group->blocks;
  double a[GROUP_ROWS] = {0}, b[GROUP_ROWS] = {0};
  for (size_t first = 0; first < total; first += LANES) {
    size_t count = total - first < LANES ? total - first : LANES;
    found f = load_found(group, first, count, block_scale, codes);
    tile t;
    load_tile(group, first, &t);
    lane_grids g = make_grids(f.grid);
    sums s = {{0}, {0}};
    lanes_i32 l = nearest_odd(f.scale * inverse_scale(f.row_scale));
    l = best_block_scale(&t, &g, f.row_scale, l, &s);
    lanes_f32 scale = f.row_scale * __builtin_convertvector(l, lanes_f32);
    store_codes(&t, &g, scale, count, codes + first * (BLOCK / 2));
    lanes_i32 byte = (l + CK_Q4_SCALE_BIAS) | f.grid;
    for (size_t lane = 0; lane < count; lane++) {
      size_t row = (first + lane) / group->blocks;
      block_scale[first + lane] = (uint8_t)byte[lane];
      a[row] += (double)s.a[lane];
      b[row] += (double)s.b[lane];
    }
  }
  for (size_t row = 0; row < group->rows; row++)
    if (a[row] > 0 && b[row] > 0) group->scale[row] = (float)(a[row] / b[row]);
}

INLINE void encode_group(row_group *group, float *row_scale, uint8_t *block_scale, uint8_t *codes) {
  for (size_t row = 0; row < group->rows; row++)
    group->factor[row] = row_factor(group->x + row * group->columns, group->columns);
  search_group(group, block_scale, codes);
  first_row_scales(group, codes);
  code_group(group, block_scale, codes);
  for (size_t row = 0; row < group->rows; row++)
    row_scale[row] = group->scale[row] / group->factor[row];
}

/* The same source for two instruction sets: no step depends on the width of the registers. */
static void encode_group_baseline(
    row_group *group, float *row_scale, uint8_t *block_scale, uint8_t *codes) {
  encode_group(group, row_scale, block_scale, codes);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void encode_group_avx2(
    row_group *group, float *row_scale, uint8_t *block_scale, uint8_t *codes) {
  encode_group(group, row_scale, block_scale, codes);
}
#endif

void ck_q4_encode(
    const float *x, size_t rows, size_t columns, float *row_scale, uint8_t *block_scale,
    uint8_t *codes) {
  void (*encode)(row_group *, float *, uint8_t *, uint8_t *) = encode_group_baseline;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) encode = encode_group_avx2;
#endif
  size_t padded = ck_padded_columns(columns);
  for (size_t first = 0; first < rows; first += GROUP_ROWS) {
    row_group group = {
        .x = x + first * columns,
        .rows = rows - first < GROUP_ROWS ? rows - first : GROUP_ROWS,
        .columns = columns,
        .blocks = padded / BLOCK};
    encode(
        &group, row_scale + first, block_scale + first * group.blocks,
        codes + first * (padded / 2));
  }
}
