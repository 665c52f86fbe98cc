/* The encoder of q4 with blocks side by side; reference.c explains what it does. */
#ifndef CK_QUANTIZE_Q4_H
#define CK_QUANTIZE_Q4_H

#include <stdlib.h>

#include "lanes.h"

enum {
  BLOCK = CK_Q4_BLOCK,
  PAIRS = BLOCK / 2,
  /* Vectors of bytes that hold a block of each lane. */
  PACKED = BLOCK / 4
};

/* One block in each lane, as whole numbers. */
typedef struct {
  v32f most, weight;
  v16i x[PAIRS], w[PAIRS], wx[PAIRS];
} tile;

INLINE v32f weights_of(v32f square, v32f mean, const v32f *importance, int i) {
  return importance ? importance[i] * __builtin_elementwise_sqrt(mean + square)
                    : mean * 2 + square;
}

INLINE void load_tile(const row_group *g, const block_places *places, tile *t) {
  v32f x[BLOCK], given[BLOCK];
  load_lanes(g->x, g->columns, places, BLOCK, x);
  const v32f *importance = NULL;
  if (g->importance) {
    load_lanes(g->importance, 0, places, BLOCK, given);
    importance = given;
  }
  v32f factor = row_factors(g, places);
  for (int i = 0; i < BLOCK; i++) x[i] *= factor;
  v32f most = largest_lanes(x, BLOCK);
  most = choose(most < TINY, (v32f){0}, most);
  v32i none = most == 0;
  v32f inverse = choose(none, (v32f){0}, ONE / choose(none, same_float(1), most));
  v32i whole[BLOCK];
  v32f sum = {0};
  for (int i = 0; i < BLOCK; i++) {
    whole[i] = clamp_int(nearest_whole(x[i] * inverse), -ONE, ONE);
    v32f value = __builtin_convertvector(whole[i], v32f);
    x[i] = value * value;
    sum += x[i];
  }
  v32f mean = sum * (1.0f / BLOCK), weight = {0};
  for (int i = 0; i < BLOCK; i++) {
    v32f w = weights_of(x[i], mean, importance, i);
    weight = choose(w > weight, w, weight);
  }
  size_t least = BLOCK;
  for (int lane = 0; lane < LANES; lane++)
    least = places->count[lane] < least ? places->count[lane] : least;
  if (least < BLOCK) {
    /* Padding has no say in which weight is the largest. */
    for (size_t lane = 0; lane < LANES; lane++) {
      float m = 0;
      for (size_t i = 0; i < places->count[lane]; i++) {
        float w = weights_of(x[i], mean, importance, (int)i)[lane];
        m = w > m ? w : m;
      }
      weight[lane] = m;
    }
  }
  v32i weightless = weight == 0;
  v32f share =
      choose(weightless, (v32f){0}, WEIGHT_ONE / choose(weightless, same_float(1), weight));
  for (int k = 0; k < PAIRS; k++) {
    v32i w[2];
    for (int h = 0; h < 2; h++) {
      int i = 2 * k + h;
      w[h] = nearest_whole(weights_of(x[i], mean, importance, i) * share);
      w[h] = clamp_int(w[h], 1, WEIGHT_ONE);
      if (least < BLOCK)
        for (size_t lane = 0; lane < LANES; lane++)
          if (places->count[lane] <= (size_t)i) w[h][lane] = 0;
    }
    t->x[k] = pair(whole[2 * k], whole[2 * k + 1]);
    t->w[k] = pair(w[0], w[1]);
    t->wx[k] = multiply_scaled(t->w[k] * 8, t->x[k]);
  }
  t->most = most;
  t->weight = weight;
}

/* ---- the nearest grid values ---- */

/* Of each 8 positions from -128 on: the grid values below them, and the first midpoint between two
 * grid values that is not. Midpoints are more than 8 apart, so there is at most one in each
 * 8. (Behind the last one all positions are above the -128 that stands for it.) */
static const uint8_t first_code[32] __attribute__((aligned(32))) = {
    0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 11, 12, 13, 13, 14, 14, 14,
    14, 15, 15, 14};
static const int8_t middle[32] __attribute__((aligned(32))) = {
    127, 127, -107, 127, 127, -87, 127, -67, 127, -51, 127, -38, -26, 127, -14, -3, 7, 127, 17,
    28, 127, 41, 55, 127, 71, 127, 127, 127, 98, 127, 127, -128};

/* The bytes' place in these tables. */
INLINE v8i table_place(v8i position) {
  v8u moved = (v8u)position ^ 0x80;
  return (v8i)((v8u)((v16u)moved >> 3) & 0x1f);
}

typedef struct {
  v32f gain, scale;
  v32i grid;
} finding;

/* Sums over the block with the grid values nearest to the positions. */
INLINE void try_positions(
    const v8i *position, v8i values, const tile *t, int grid, finding *best) {
  const v8i codes = load_table16(first_code), more_codes = load_table16(first_code + 16);
  const v8i low = load_table16((const uint8_t *)middle);
  const v8i high = load_table16((const uint8_t *)middle + 16);
  v32i a = {0}, b = {0};
  for (int v = 0; v < PACKED; v++) {
    v8i place = table_place(position[v]);
    v8i code = look_up(codes, more_codes, place);
    code = code - (v8i)(position[v] > look_up(low, high, place));
    v8i value = shuffle(values, code);
    v16i q0 = spread_low(value) >> 8, q1 = spread_high(value) >> 8;
    a = add_products(a, q0, t->wx[2 * v]);
    b = add_products(b, q0 * q0, t->w[2 * v]);
    a = add_products(a, q1, t->wx[2 * v + 1]);
    b = add_products(b, q1 * q1, t->w[2 * v + 1]);
  }
  v32i some = b > 0;
  v32f sum_a = __builtin_convertvector(a, v32f);
  v32f sum_b = __builtin_convertvector(choose_int(some, b, (v32i){0} + 1), v32f);
  v32f scale = choose(some, sum_a / sum_b, (v32f){0});
  v32f gain = sum_a * scale;
  v32i better = gain > best->gain;
  best->gain = choose(better, gain, best->gain);
  best->scale = choose(better, scale, best->scale);
  best->grid = choose_int(better, (v32i){0} + grid, best->grid);
}

static const int8_t values[2][GRID] __attribute__((aligned(16))) = {CK_Q4_GRID_0, CK_Q4_GRID_1};

INLINE finding search(const tile *t, effort_settings settings) {
  const v8i first = load_table16((const uint8_t *)values[0]);
  const v8i second = load_table16((const uint8_t *)values[1]);
  const v8i shift = (v8i){0} + GRID_SHIFT;
  finding best = {.gain = {0}, .scale = {0}, .grid = {0}};
  for (int s = 0; s < settings.scales; s++) {
    const v16i reach = (v16i){0} + (int16_t)reach_of(settings, s);
    v8i up[PACKED], down[PACKED];
    for (int v = 0; v < PACKED; v++) {
      up[v] = pack(
          multiply_scaled(t->x[2 * v], reach), multiply_scaled(t->x[2 * v + 1], reach));
      down[v] = __builtin_elementwise_sub_sat((v8i){0}, up[v]);
    }
    try_positions(up, first, t, 0, &best);
    try_positions(down, first, t, 0, &best);
    for (int v = 0; v < PACKED; v++) {
      up[v] = __builtin_elementwise_sub_sat(up[v], shift);
      down[v] = __builtin_elementwise_sub_sat(down[v], shift);
    }
    try_positions(up, second, t, 1, &best);
    try_positions(down, second, t, 1, &best);
  }
  best.scale *= t->most * (4096.0f / ONE);
  return best;
}

/* ---- block scales and codes against the row scale ---- */

/* The codes that a scale gives, and their sums. */
typedef struct {
  v32i a, b;
  v8i codes[PACKED];
} coding;

INLINE coding code_blocks(const tile *t, v32i grid, v32f scale) {
  const v8i first = load_table16((const uint8_t *)values[0]);
  const v8i codes = load_table16(first_code), more_codes = load_table16(first_code + 16);
  const v8i low = load_table16((const uint8_t *)middle);
  const v8i high = load_table16((const uint8_t *)middle + 16);
  v32i zero = scale == 0;
  v32f ratio = t->most * (FINE / 2 * 32768.0f / ONE) / choose(zero, same_float(1), scale);
  ratio = choose(ratio > ONE, same_float(ONE), ratio);
  ratio = choose(ratio < -ONE, same_float(-ONE), ratio);
  const v16i factor = twice(nearest_whole(choose(zero, (v32f){0}, ratio)));
  const v16i shift = twice(grid * GRID_SHIFT);
  coding c = {.a = {0}, .b = {0}};
  for (int v = 0; v < PACKED; v++) {
    v16i position[2];
    for (int h = 0; h < 2; h++) {
      v16i p = multiply_scaled(t->x[2 * v + h], factor);
      p = __builtin_elementwise_add_sat(p, p);
      position[h] = __builtin_elementwise_sub_sat(p, shift * FINE);
    }
    v8i place = table_place(pack(position[0] >> 8, position[1] >> 8));
    v8i border = look_up(low, high, place);
    v8i above = pack(
        (v16i)(position[0] > spread_low(border)), (v16i)(position[1] > spread_high(border)));
    c.codes[v] = look_up(codes, more_codes, place) - above;
    v8i value = shuffle(first, c.codes[v]);
    v16i q0 = (spread_low(value) >> 8) + shift, q1 = (spread_high(value) >> 8) + shift;
    c.a = add_products(c.a, q0, t->wx[2 * v]);
    c.b = add_products(c.b, q0 * q0, t->w[2 * v]);
    c.a = add_products(c.a, q1, t->wx[2 * v + 1]);
    c.b = add_products(c.b, q1 * q1, t->w[2 * v + 1]);
  }
  return c;
}

/* Odd numbers from -127 to 127 nearest to x. */
INLINE v32i nearest_odd(v32f x) {
  v32f m = magnitudes(x);
  m = choose(m > 126, same_float(126), m);
  v32i odd = 2 * __builtin_convertvector(m * 0.5f, v32i) + 1;
  return choose_int(x < 0, -odd, odd);
}

INLINE v32i best_block_scale(
    const tile *t, v32i grid, v32f row_scale, v32i l, int steps, coding *chosen) {
  v32f least = {0};
  v32i best = l;
  for (int step = 0; step <= 2 * steps; step++) {
    v32i candidate = l + (step & 1 ? -(step + 1) : step);
    v32i outside = (candidate > 127) | (candidate < -127);
    candidate = choose_int(outside, l, candidate);
    v32f scale = row_scale * __builtin_convertvector(candidate, v32f);
    coding c = code_blocks(t, grid, scale);
    v32f a = __builtin_convertvector(c.a, v32f) * (t->most * (4096.0f / ONE));
    v32f error = scale * (scale * __builtin_convertvector(c.b, v32f) - 2 * a);
    v32i better = step == 0 ? (v32i){0} - 1 : error < least;
    v8i bytes = pack((v16i)better, (v16i)better);
    least = choose(better, error, least);
    best = choose_int(better, candidate, best);
    chosen->a = choose_int(better, c.a, chosen->a);
    chosen->b = choose_int(better, c.b, chosen->b);
    for (int v = 0; v < PACKED; v++)
      chosen->codes[v] = (c.codes[v] & bytes) | (chosen->codes[v] & ~bytes);
  }
  return best;
}

/* Bytes of two codes each, 8 to a block. */
INLINE void store_codes(const v8i *codes, size_t count, uint8_t *to) {
  /* The bytes of four blocks stand one behind the other, those of four pairs apart. */
  const v8i turn = load_table16(
      (const uint8_t[16]){0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15});
  uint32_t halves[2][LANES] __attribute__((aligned(64)));
  for (int h = 0; h < 2; h++) {
    v16u a = (v16u)codes[2 * h], b = (v16u)codes[2 * h + 1];
    a = (a | a >> 4) & 0xff;
    b = (b | b >> 4) & 0xff;
    v8i bytes = shuffle(pack_unsigned((v16i)a, (v16i)b), turn);
    memcpy(halves[h], &bytes, sizeof bytes);
  }
  for (size_t lane = 0; lane < count; lane++) {
    memcpy(to + 8 * lane, &halves[0][lane], 4);
    memcpy(to + 8 * lane + 4, &halves[1][lane], 4);
  }
}

/* Gives the padding of blocks that a row's end cuts its code. */
INLINE void store_padding(const block_places *places, size_t count, uint8_t *to) {
  for (size_t lane = 0; lane < count; lane++)
    for (size_t i = places->count[lane]; i < BLOCK; i++) {
      uint8_t *byte = to + lane * (BLOCK / 2) + i / 2;
      *byte = i & 1 ? (uint8_t)((*byte & 15) | PADDING_CODE << 4)
                    : (uint8_t)((*byte & 240) | PADDING_CODE);
    }
}

/* ---- groups of rows ---- */

/* The search leaves each block's scale in the place of its codes and its grid in the place of its
 * block scale; coding overwrites both. */
INLINE void search_group(
    const row_group *g, effort_settings settings, tile *kept, uint8_t *block_scale,
    uint8_t *codes) {
  size_t total = g->rows * g->blocks;
  for (size_t first = 0; first < total; first += LANES) {
    block_places places;
    find_blocks(g, first, BLOCK, &places);
    tile t;
    load_tile(g, &places, &t);
    if (kept) kept[first / LANES] = t;
    finding best = search(&t, settings);
    size_t count = total - first < LANES ? total - first : LANES;
    for (size_t lane = 0; lane < count; lane++) {
      float scale = best.scale[lane];
      memcpy(codes + (first + lane) * (BLOCK / 2), &scale, sizeof scale);
      block_scale[first + lane] = (uint8_t)best.grid[lane];
    }
  }
}

/* Row scales that let the largest block scale be 127. */
INLINE void first_row_scales(row_group *g, const uint8_t *codes) {
  for (size_t row = 0; row < g->rows; row++) {
    float most = 0;
    for (size_t b = row * g->blocks; b < (row + 1) * g->blocks; b++) {
      float scale;
      memcpy(&scale, codes + b * (BLOCK / 2), sizeof scale);
      scale = scale < 0 ? -scale : scale;
      most = scale > most ? scale : most;
    }
    g->scale[row] = most / 127.0f;
  }
}

/* What is known of the blocks' scales: from the search, or from the round before. */
typedef struct {
  v32f row_scale;
  v32i grid, l;
} known_scales;

INLINE known_scales load_known(
    const row_group *g, int round, size_t first, size_t count, const block_places *places,
    const uint8_t *block_scale, const uint8_t *codes) {
  float row_scale[LANES] = {0}, scale[LANES] = {0};
  int32_t byte[LANES] = {0};
  for (size_t lane = 0; lane < count; lane++) {
    row_scale[lane] = g->scale[places->row[lane]];
    memcpy(&scale[lane], codes + (first + lane) * (BLOCK / 2), sizeof(float));
    byte[lane] = block_scale[first + lane];
  }
  known_scales k;
  v32f found;
  v32i bytes;
  memcpy(&k.row_scale, row_scale, sizeof row_scale);
  memcpy(&found, scale, sizeof scale);
  memcpy(&bytes, byte, sizeof byte);
  k.grid = bytes & 1;
  if (round == 0) {
    v32i none = k.row_scale == 0;
    v32f ratio = found / choose(none, same_float(1), k.row_scale);
    k.l = nearest_odd(choose(none, (v32f){0}, ratio));
  } else {
    k.l = (bytes & 254) - CK_Q4_SCALE_BIAS;
  }
  return k;
}

INLINE void code_group(
    row_group *g, int steps, int round, const tile *kept, uint8_t *block_scale, uint8_t *codes) {
  size_t total = g->rows * g->blocks;
  row_sums sums[GROUP_ROWS];
  memset(sums, 0, sizeof sums);
  for (size_t first = 0; first < total; first += LANES) {
    size_t count = total - first < LANES ? total - first : LANES;
    block_places places;
    find_blocks(g, first, BLOCK, &places);
    known_scales known = load_known(g, round, first, count, &places, block_scale, codes);
    tile t;
    if (kept) {
      t = kept[first / LANES];
    } else {
      load_tile(g, &places, &t);
    }
    coding c = {.a = {0}, .b = {0}};
    for (int v = 0; v < PACKED; v++) c.codes[v] = (v8i){0};
    v32i l = best_block_scale(&t, known.grid, known.row_scale, known.l, steps, &c);
    store_codes(c.codes, count, codes + first * (BLOCK / 2));
    store_padding(&places, count, codes + first * (BLOCK / 2));
    v32i byte = (l + CK_Q4_SCALE_BIAS) | known.grid;
    for (size_t lane = 0; lane < count; lane++) {
      block_scale[first + lane] = (uint8_t)byte[lane];
      add_block(
          &sums[places.row[lane]], c.a[lane], c.b[lane], l[lane], t.most[lane], t.weight[lane],
          g->importance != NULL);
    }
  }
  for (size_t row = 0; row < g->rows; row++)
    if (sums[row].a > 0 && sums[row].b > 0) g->scale[row] = (float)(sums[row].a / sums[row].b);
}

/* Rows of up to this many blocks are kept as whole numbers between search and coding: they fit in a
 * core's own cache. */
enum { KEPT_BLOCKS = 2048, KEPT_TILES = KEPT_BLOCKS / LANES + 1 };

static void encode_group4(
    const ck_encoding *e, effort_settings settings, size_t first, size_t rows, tile *kept) {
  size_t padded = ck_padded_columns(e->columns);
  row_group g = {
      .x = e->x + first * e->columns, .importance = e->importance, .rows = rows,
      .columns = e->columns, .blocks = padded / BLOCK};
  for (size_t row = 0; row < rows; row++)
    g.factor[row] = row_factor(largest_magnitude(g.x + row * g.columns, g.columns));
  uint8_t *block_scale = e->block_scale + first * g.blocks;
  uint8_t *codes = e->codes + first * (padded / 2);
  search_group(&g, settings, kept, block_scale, codes);
  first_row_scales(&g, codes);
  for (int round = 0; round < settings.rounds; round++)
    code_group(&g, settings.steps, round, kept, block_scale, codes);
  for (size_t row = 0; row < rows; row++)
    e->row_scale[first + row] = g.scale[row] / g.factor[row];
}

static void encode4(const ck_encoding *e) {
  effort_settings settings = settings_of(e->effort);
  size_t blocks = ck_padded_columns(e->columns) / BLOCK;
  size_t step = blocks < KEPT_BLOCKS ? KEPT_BLOCKS / blocks : 1;
  step = step < GROUP_ROWS ? step : GROUP_ROWS;
  /* Without memory for them, blocks are loaded twice. */
  size_t bytes = (KEPT_TILES * sizeof(tile) + 63) / 64 * 64;
  tile *kept = blocks <= KEPT_BLOCKS ? aligned_alloc(64, bytes) : NULL;
  for (size_t first = 0; first < e->rows; first += step)
    encode_group4(e, settings, first, e->rows - first < step ? e->rows - first : step, kept);
  free(kept);
}

#endif
