/* The encoder of q8 with blocks side by side; reference.c explains what it does. */
#ifndef CK_QUANTIZE_Q8_H
#define CK_QUANTIZE_Q8_H

#include "lanes.h"

enum { PAIRS8 = CK_Q8_BLOCK / 2, PACKED8 = CK_Q8_BLOCK / 4 };

/* One block in each lane, as whole numbers. */
typedef struct {
  v32f most;
  v16i x[PAIRS8];
} tile8;

INLINE void load_tile8(const row_group *g, const block_places *places, tile8 *t) {
  v32f x[CK_Q8_BLOCK];
  load_lanes(g->x, g->columns, places, CK_Q8_BLOCK, x);
  v32f factor = row_factors(g, places);
  for (int i = 0; i < CK_Q8_BLOCK; i++) x[i] *= factor;
  v32f most = largest_lanes(x, CK_Q8_BLOCK);
  v32i none = most < TINY;
  most = choose(none, (v32f){0}, most);
  v32f inverse = choose(none, (v32f){0}, ONE / choose(none, same_float(1), most));
  for (int k = 0; k < PAIRS8; k++)
    t->x[k] = pair(
        clamp_int(nearest_whole(x[2 * k] * inverse), -ONE, ONE),
        clamp_int(nearest_whole(x[2 * k + 1] * inverse), -ONE, ONE));
  t->most = most;
}

INLINE v16i fine_factors8(v32f most, v32f scale) {
  v32f ratio = most * (FINE * 32768.0f / ONE) / scale;
  return twice(nearest_whole(choose(ratio > ONE, same_float(ONE), ratio)));
}

/* The block scales with the least squared errors; `unit` is the row scale. */
INLINE v32i best_scales8(const tile8 *t, v32f unit, int candidates) {
  v32f wanted = t->most / (unit * 127.49f);
  v32i first = __builtin_convertvector(wanted, v32i);
  first -= __builtin_convertvector(first, v32f) < wanted;
  first = clamp_int(first, 1, LARGEST_SCALE);
  v32f tenth = __builtin_convertvector(first, v32f) * 0.1f;
  v32i last = first + 1 + __builtin_convertvector(tenth, v32i);
  last = __builtin_elementwise_min(last, first + (candidates - 1));
  last = __builtin_elementwise_min(last, (v32i){0} + LARGEST_SCALE);
  last = __builtin_elementwise_max(last, first);
  int32_t turns = 0;
  for (int lane = 0; lane < LANES; lane++)
    turns = last[lane] - first[lane] > turns ? last[lane] - first[lane] : turns;
  v32i best = first;
  v32f least = {0};
  for (int32_t turn = 0; turn <= turns; turn++) {
    v32i candidate = first + turn;
    const v16i factor =
        fine_factors8(t->most, unit * __builtin_convertvector(candidate, v32f));
    v32i sum = {0};
    for (int k = 0; k < PAIRS8; k++) {
      v16i p = multiply_scaled(t->x[k], factor);
      v16i error = ((p + FINE / 2) & (FINE - 1)) - FINE / 2;
      sum = add_products(sum, error, error);
    }
    v32f error = __builtin_convertvector(sum, v32f) *
                 __builtin_convertvector(candidate * candidate, v32f);
    v32i better = turn == 0 ? (v32i){0} - 1 : (error < least) & (candidate <= last);
    least = choose(better, error, least);
    best = choose_int(better, candidate, best);
  }
  return best;
}

INLINE void code_tile8(
    const row_group *g, const float *unit, size_t first, size_t count, int candidates,
    row_sums *sums, uint8_t *block_scale, uint8_t *codes) {
  block_places places;
  find_blocks(g, first, CK_Q8_BLOCK, &places);
  tile8 t;
  load_tile8(g, &places, &t);
  float units[LANES];
  for (size_t lane = 0; lane < LANES; lane++)
    units[lane] = lane < count && unit[places.row[lane]] > 0 ? unit[places.row[lane]] : 1;
  v32f row_unit;
  memcpy(&row_unit, units, sizeof units);
  v32i scale = best_scales8(&t, row_unit, candidates);
  const v16i factor = fine_factors8(t.most, row_unit * __builtin_convertvector(scale, v32f));
  const v8i turn = load_table16(
      (const uint8_t[16]){0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15});
  uint32_t bytes[PACKED8][LANES] __attribute__((aligned(64)));
  v32i a = {0}, b = {0};
  for (int v = 0; v < PACKED8; v++) {
    v16i q[2];
    for (int h = 0; h < 2; h++) {
      q[h] = (multiply_scaled(t.x[2 * v + h], factor) + FINE / 2) >> 8;
      a = add_products(a, t.x[2 * v + h], q[h]);
      b = add_products(b, q[h], q[h]);
    }
    v8i packed = shuffle(pack(q[0], q[1]), turn);
    memcpy(bytes[v], &packed, sizeof packed);
  }
  for (size_t lane = 0; lane < count; lane++) {
    size_t row = places.row[lane];
    uint8_t *to = codes + (first + lane) * CK_Q8_BLOCK;
    for (int v = 0; v < PACKED8; v++) memcpy(to + 4 * v, &bytes[v][lane], 4);
    int some = t.most[lane] > 0 && unit[row] > 0;
    if (!some) memset(to, 0, CK_Q8_BLOCK);
    block_scale[first + lane] = some ? (uint8_t)scale[lane] : 0;
    if (some) add_block8(&sums[row], a[lane], b[lane], scale[lane], t.most[lane], unit[row]);
  }
}

static void encode8(const ck_encoding *e) {
  effort_settings settings = settings_of(e->effort);
  size_t padded = ck_padded_columns(e->columns);
  for (size_t first = 0; first < e->rows; first += GROUP_ROWS) {
    row_group g = {
        .x = e->x + first * e->columns,
        .rows = e->rows - first < GROUP_ROWS ? e->rows - first : GROUP_ROWS,
        .columns = e->columns, .blocks = padded / CK_Q8_BLOCK};
    float unit[GROUP_ROWS];
    row_sums sums[GROUP_ROWS];
    memset(sums, 0, sizeof sums);
    for (size_t row = 0; row < g.rows; row++) {
      float largest = largest_magnitude(g.x + row * g.columns, g.columns);
      g.factor[row] = row_factor(largest);
      unit[row] = first_unit8(largest, g.factor[row]);
    }
    size_t total = g.rows * g.blocks;
    for (size_t block = 0; block < total; block += LANES)
      code_tile8(
          &g, unit, block, total - block < LANES ? total - block : LANES, settings.candidates,
          sums, e->block_scale + first * g.blocks, e->codes + first * padded);
    for (size_t row = 0; row < g.rows; row++)
      e->row_scale[first + row] = fitted_unit8(unit[row], sums[row]) / g.factor[row];
  }
}

#endif
