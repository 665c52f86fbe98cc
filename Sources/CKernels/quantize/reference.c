/* The encoders in plain C, one block after the other: what every instruction set has to equal.
 *
 * q4: for each block of 16 a search over scales, grids and signs; then one scale for the row, block
 * scales relative to it, codes that know the rounded block scales, and the row scale again, fitted
 * to these codes. With codes q fixed, the best scale of a block is A/B and lowers its error by
 * A²/B, where A = Σ w x q and B = Σ w q². Without importance the weights w lie between plain
 * squared error (w = 1) and the emphasis on large elements (w = x²): that keeps a model's output
 * closest.
 *
 * q8: for each block of 32 it tries block scales from the smallest that clips nothing upwards and
 * keeps the one whose rounding errors happen to be least: one decibel better than the smallest
 * alone. */
#include <stdlib.h>

#include "encoding.h"
#include "feedback.h"

static const int8_t grids[2][GRID] = {CK_Q4_GRID_0, CK_Q4_GRID_1};

/* Whole numbers nearest to x, ties to even, for |x| below 2^22. */
static int32_t nearest_whole(float x) {
  /* 1.5 * 2^23 and its bits. */
  float sum = x + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &sum, sizeof bits);
  return bits - 0x4b400000;
}

static int32_t clamp(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}

/* a b / 2^15 rounded, ties up. */
static int32_t scaled(int32_t a, int32_t b) { return (a * b + 0x4000) >> 15; }

/* Grid values below a position: the code of the nearest one. `position` is in steps of 1/unit. */
static int32_t nearest_code(int32_t position, int32_t unit) {
  int32_t code = 0;
  for (int k = 0; k + 1 < GRID; k++)
    code += position > (grids[0][k] + grids[0][k + 1]) / 2 * unit;
  return code;
}

/* A block of 16 as whole numbers. */
typedef struct {
  float most;   /* the largest magnitude, of the weights times the row's factor */
  float weight; /* the largest of the weights that `w` stands for */
  size_t count; /* elements that are no padding */
  int32_t x[CK_Q4_BLOCK], w[CK_Q4_BLOCK], wx[CK_Q4_BLOCK];
} block;

static block load(const float *x, const float *importance, size_t count, float factor) {
  block b = {.count = count};
  float scaled_x[CK_Q4_BLOCK] = {0};
  for (size_t i = 0; i < count; i++) scaled_x[i] = x[i] * factor;
  b.most = largest_magnitude(scaled_x, CK_Q4_BLOCK);
  if (b.most < TINY) b.most = 0;
  float inverse = b.most > 0 ? ONE / b.most : 0;
  float square[CK_Q4_BLOCK], sum = 0;
  for (int i = 0; i < CK_Q4_BLOCK; i++) {
    b.x[i] = clamp(nearest_whole(scaled_x[i] * inverse), -ONE, ONE);
    square[i] = (float)b.x[i] * (float)b.x[i];
    sum += square[i];
  }
  float mean = sum * (1.0f / CK_Q4_BLOCK), w[CK_Q4_BLOCK];
  for (size_t i = 0; i < CK_Q4_BLOCK; i++) {
    w[i] = importance ? i < count ? importance[i] * __builtin_sqrtf(mean + square[i]) : 0
                      : mean * 2 + square[i];
    if (i < count && w[i] > b.weight) b.weight = w[i];
  }
  float share = b.weight > 0 ? WEIGHT_ONE / b.weight : 0;
  for (size_t i = 0; i < count; i++) {
    b.w[i] = clamp(nearest_whole(w[i] * share), 1, WEIGHT_ONE);
    b.wx[i] = scaled(b.w[i] * 8, b.x[i]);
  }
  return b;
}

typedef struct {
  float scale; /* signed, with the codes that won */
  int32_t grid;
} finding;

static finding search(const block *b, effort_settings settings) {
  finding best = {0, 0};
  float most_gain = 0;
  for (int s = 0; s < settings.scales; s++) {
    for (int variant = 0; variant < 4; variant++) {
      int32_t grid = variant >> 1, sum_a = 0, sum_b = 0;
      for (int i = 0; i < CK_Q4_BLOCK; i++) {
        int32_t p = clamp(scaled(b->x[i], reach_of(settings, s)), -128, 127);
        if (variant & 1) p = clamp(-p, -128, 127);
        p = clamp(p - grid * GRID_SHIFT, -128, 127);
        int32_t q = grids[grid][nearest_code(p, 1)];
        sum_a += b->wx[i] * q;
        sum_b += b->w[i] * q * q;
      }
      float scale = sum_b > 0 ? (float)sum_a / (float)sum_b : 0;
      float gain = (float)sum_a * scale;
      if (gain > most_gain) {
        most_gain = gain;
        best = (finding){scale * (b->most * (4096.0f / ONE)), grid};
      }
    }
  }
  return best;
}

/* The sums with the codes that a scale gives. */
typedef struct {
  int32_t a, b, codes[CK_Q4_BLOCK];
} coding;

static coding code_block(const block *b, int32_t grid, float scale) {
  float ratio = scale != 0 ? b->most * (FINE / 2 * 32768.0f / ONE) / scale : 0;
  ratio = ratio > ONE ? ONE : ratio < -ONE ? -ONE : ratio;
  int32_t factor = nearest_whole(ratio);
  coding c = {0};
  for (int i = 0; i < CK_Q4_BLOCK; i++) {
    int32_t p = clamp(2 * scaled(b->x[i], factor), -32768, 32767);
    p = clamp(p - grid * GRID_SHIFT * FINE, -32768, 32767);
    c.codes[i] = nearest_code(p, FINE);
    int32_t q = grids[grid][c.codes[i]];
    c.a += b->wx[i] * q;
    c.b += b->w[i] * q * q;
    if ((size_t)i >= b->count) c.codes[i] = PADDING_CODE;
  }
  return c;
}

/* Odd numbers from -127 to 127 nearest to x. */
static int32_t nearest_odd(float x) {
  float m = x < 0 ? -x : x;
  m = m > 126 ? 126 : m;
  int32_t odd = 2 * (int32_t)(m * 0.5f) + 1;
  return x < 0 ? -odd : odd;
}

/* The block scale near l with the least error, and its codes. */
static int32_t best_block_scale(
    const block *b, int32_t grid, float row_scale, int32_t l, int steps, coding *chosen) {
  float least = 0;
  int32_t best = l;
  for (int step = 0; step <= 2 * steps; step++) {
    int32_t offset = step & 1 ? -(step + 1) : step;
    int32_t candidate = l + offset;
    if (candidate > 127 || candidate < -127) candidate = l;
    float scale = row_scale * (float)candidate;
    coding c = code_block(b, grid, scale);
    /* Σ w (x - scale q)² without the part that all candidates share. */
    float error = scale * (scale * (float)c.b - 2 * ((float)c.a * (b->most * (4096.0f / ONE))));
    if (step == 0 || error < least) {
      least = error;
      best = candidate;
      *chosen = c;
    }
  }
  return best;
}

/* The search leaves each block's scale in the place of its codes and its grid in the place of its
 * block scale; coding overwrites both. Returns the row's first scale. */
static float search_row(
    const ck_encoding *e, const block *blocks, size_t count, uint8_t *block_scale,
    uint8_t *codes) {
  float most = 0;
  for (size_t k = 0; k < count; k++) {
    finding f = search(&blocks[k], settings_of(e->effort));
    memcpy(codes + k * (CK_Q4_BLOCK / 2), &f.scale, sizeof f.scale);
    block_scale[k] = (uint8_t)f.grid;
    float magnitude = f.scale < 0 ? -f.scale : f.scale;
    most = magnitude > most ? magnitude : most;
  }
  return most / 127.0f;
}

/* Chooses block scales and codes for a row scale; returns the scale that fits them best. */
static float code_row(
    const ck_encoding *e, const block *blocks, size_t count, int round, float scale,
    uint8_t *block_scale, uint8_t *codes) {
  row_sums sums = {0};
  for (size_t k = 0; k < count; k++, codes += CK_Q4_BLOCK / 2) {
    float found;
    memcpy(&found, codes, sizeof found);
    int32_t grid = block_scale[k] & 1;
    int32_t l = round == 0 ? nearest_odd(scale > 0 ? found / scale : 0)
                           : ck_q4_block_scale(block_scale[k]);
    coding c = {0};
    l = best_block_scale(&blocks[k], grid, scale, l, settings_of(e->effort).steps, &c);
    add_block(&sums, c.a, c.b, l, blocks[k].most, blocks[k].weight, e->importance != NULL);
    block_scale[k] = (uint8_t)((l + CK_Q4_SCALE_BIAS) | grid);
    for (int i = 0; i < CK_Q4_BLOCK / 2; i++)
      codes[i] = (uint8_t)(c.codes[2 * i] | c.codes[2 * i + 1] << 4);
  }
  return sums.a > 0 && sums.b > 0 ? (float)(sums.a / sums.b) : scale;
}

static void encode_row4(
    const ck_encoding *e, const float *x, float *row_scale, uint8_t *block_scale, uint8_t *codes,
    block *blocks) {
  size_t count = ck_padded_columns(e->columns) / CK_Q4_BLOCK;
  float factor = row_factor(largest_magnitude(x, e->columns));
  for (size_t k = 0; k < count; k++) {
    size_t start = k * CK_Q4_BLOCK, left = start < e->columns ? e->columns - start : 0;
    blocks[k] = load(
        left ? x + start : x, e->importance && left ? e->importance + start : e->importance,
        left < CK_Q4_BLOCK ? left : CK_Q4_BLOCK, factor);
  }
  float scale = search_row(e, blocks, count, block_scale, codes);
  for (int round = 0; round < settings_of(e->effort).rounds; round++)
    scale = code_row(e, blocks, count, round, scale, block_scale, codes);
  *row_scale = scale / factor;
}

static void encode4(const ck_encoding *e) {
  size_t padded = ck_padded_columns(e->columns);
  block *blocks = malloc(padded / CK_Q4_BLOCK * sizeof(block));
  if (!blocks) abort();
  for (size_t r = 0; r < e->rows; r++)
    encode_row4(
        e, e->x + r * e->columns, e->row_scale + r, e->block_scale + r * (padded / CK_Q4_BLOCK),
        e->codes + r * (padded / 2), blocks);
  free(blocks);
}

/* ---- q8 ---- */

/* Codes of a block in 1/256: x times this, over 2^15. */
static int32_t fine_factor8(float most, float scale) {
  float ratio = most * (FINE * 32768.0f / ONE) / scale;
  return nearest_whole(ratio > ONE ? ONE : ratio);
}

static void encode_block8(
    const float *x, float most, float unit, effort_settings settings, uint8_t *block_scale,
    uint8_t *codes, row_sums *sums) {
  int32_t whole[CK_Q8_BLOCK];
  float inverse = ONE / most;
  for (int i = 0; i < CK_Q8_BLOCK; i++)
    whole[i] = clamp(nearest_whole(x[i] * inverse), -ONE, ONE);
  /* 127.49: the largest element still rounds to 127. */
  float wanted = most / (unit * 127.49f);
  int32_t first = (int32_t)wanted;
  first += (float)first < wanted;
  first = clamp(first, 1, LARGEST_SCALE);
  /* A scale a tenth too large costs more than luck can win back. */
  int32_t last = first + 1 + (int32_t)((float)first * 0.1f);
  last = last > first + settings.candidates - 1 ? first + settings.candidates - 1 : last;
  last = clamp(last, first, LARGEST_SCALE);
  int32_t best = first;
  float least = 0;
  for (int32_t candidate = first; candidate <= last; candidate++) {
    int32_t factor = fine_factor8(most, unit * (float)candidate), sum = 0;
    for (int i = 0; i < CK_Q8_BLOCK; i++) {
      int32_t p = scaled(whole[i], factor);
      int32_t error = p - ((p + FINE / 2) >> 8) * FINE;
      sum += error * error;
    }
    float error = (float)sum * (float)(candidate * candidate);
    if (candidate == first || error < least) {
      least = error;
      best = candidate;
    }
  }
  int32_t factor = fine_factor8(most, unit * (float)best), a = 0, b = 0;
  for (int i = 0; i < CK_Q8_BLOCK; i++) {
    int32_t q = (scaled(whole[i], factor) + FINE / 2) >> 8;
    codes[i] = (uint8_t)(int8_t)q;
    a += whole[i] * q;
    b += q * q;
  }
  *block_scale = (uint8_t)best;
  add_block8(sums, a, b, best, most, unit);
}

static void encode8(const ck_encoding *e) {
  size_t padded = ck_padded_columns(e->columns), blocks = padded / CK_Q8_BLOCK;
  for (size_t r = 0; r < e->rows; r++) {
    const float *row = e->x + r * e->columns;
    float largest = largest_magnitude(row, e->columns), factor = row_factor(largest);
    float unit = first_unit8(largest, factor);
    row_sums sums = {0};
    for (size_t k = 0; k < blocks; k++) {
      float x[CK_Q8_BLOCK] = {0};
      size_t start = k * CK_Q8_BLOCK;
      for (size_t i = 0; i < CK_Q8_BLOCK && start + i < e->columns; i++)
        x[i] = row[start + i] * factor;
      float most = largest_magnitude(x, CK_Q8_BLOCK);
      uint8_t *codes = e->codes + r * padded + start;
      e->block_scale[r * blocks + k] = 0;
      memset(codes, 0, CK_Q8_BLOCK);
      if (most < TINY || !(unit > 0)) continue;
      encode_block8(
          x, most, unit, settings_of(e->effort), e->block_scale + r * blocks + k, codes, &sums);
    }
    e->row_scale[r] = fitted_unit8(unit, sums) / factor;
  }
}

/* ---- decoders ---- */

static void decode4(
    const float *row_scale, const uint8_t *block_scale, const uint8_t *codes, size_t rows,
    size_t columns, float *values) {
  size_t padded = ck_padded_columns(columns);
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < columns; c++) {
      uint8_t scale = block_scale[r * (padded / CK_Q4_BLOCK) + c / CK_Q4_BLOCK];
      uint8_t pair = codes[r * (padded / 2) + c / 2];
      uint32_t code = c & 1 ? pair >> 4 : pair & 15;
      values[r * columns + c] =
          row_scale[r] * (float)(ck_q4_block_scale(scale) * ck_q4_grid_value(scale & 1, code));
    }
}

static void decode8(
    const float *row_scale, const uint8_t *block_scale, const uint8_t *codes, size_t rows,
    size_t columns, float *values) {
  size_t padded = ck_padded_columns(columns);
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < columns; c++) {
      int32_t scale = block_scale[r * (padded / CK_Q8_BLOCK) + c / CK_Q8_BLOCK];
      values[r * columns + c] = row_scale[r] * (float)(scale * (int8_t)codes[r * padded + c]);
    }
}

static void squares(const float *x, const float *y, size_t n, double sums[2]) {
  double power[8] = {0}, error[8] = {0};
  for (size_t i = 0; i < n; i++) {
    double d = (double)x[i] - (double)y[i];
    power[i % 8] += (double)x[i] * (double)x[i];
    error[i % 8] += d * d;
  }
  for (int i = 0; i < 8; i++) {
    sums[0] += power[i];
    sums[1] += error[i];
  }
}

const ck_quantizer ck_reference_quantizer = {
    .q4 = encode4, .q8 = encode8, .decode_q4 = decode4, .decode_q8 = decode8, .squares = squares,
    .add_products = add_products_of_columns, .factor_diagonal = factor_diagonal,
    .solve_panel = solve_panel, .update_rows = update_rows, .feed_back = feed_back};
