#include "ck_quantize.h"

#include <string.h>

#pragma STDC FP_CONTRACT OFF

enum { BLOCK = CK_Q4_BLOCK, GRID = CK_Q4_GRID_SIZE, STEPS = 7 };

static const float grids[2][GRID] = {CK_Q4_GRID_0, CK_Q4_GRID_1};

/* How a block is stored before the row scale is known. */
typedef struct {
  float scale; /* signed */
  int grid;
} choice;

static inline float magnitude(float x) { return x < 0 ? -x : x; }

/* Index of the grid value nearest to t. */
static inline int nearest_code(const float *grid, float t) {
  int code = 0;
  for (int k = 0; k + 1 < GRID; k++) code += t > 0.5f * (grid[k] + grid[k + 1]);
  return code;
}

static inline float numerator(const float *x, const float *grid, const int *codes) {
  float sum = 0;
  for (int i = 0; i < BLOCK; i++) sum += x[i] * grid[codes[i]];
  return sum;
}

static inline float denominator(const float *grid, const int *codes) {
  float sum = 0;
  for (int i = 0; i < BLOCK; i++) sum += grid[codes[i]] * grid[codes[i]];
  return sum;
}

/* Scale and grid that leave the least squared error: for fixed codes the best scale is A/B and
 * the error falls by A²/B, with A = sum(x q) and B = sum(q²). */
static choice best_choice(const float *x, float most) {
  choice best = {0, 0};
  float best_gain = -1;
  if (!(most > 0)) return best;
  for (int g = 0; g < 2; g++)
    for (int sign = -1; sign <= 1; sign += 2)
      for (int step = -STEPS; step <= STEPS; step++) {
        float inverse = (float)sign * (127.0f + 6.0f * (float)step) / most;
        int codes[BLOCK];
        for (int i = 0; i < BLOCK; i++) codes[i] = nearest_code(grids[g], x[i] * inverse);
        float a = numerator(x, grids[g], codes);
        float b = denominator(grids[g], codes);
        float gain = a * a / b;
        if (gain > best_gain) {
          best_gain = gain;
          best.scale = a / b;
          best.grid = g;
        }
      }
  return best;
}

/* The odd number from -127 to 127 nearest to x. */
static int nearest_odd(float x) {
  int sign = x < 0 ? -1 : 1;
  int odd = 2 * (int)(magnitude(x) * 0.5f) + 1;
  return sign * (odd > 127 ? 127 : odd);
}

static void encode_row(
    const float *row, size_t columns, float *row_scale, uint8_t *block_scale, uint8_t *codes) {
  size_t padded = ck_padded_columns(columns);
  size_t blocks = padded / BLOCK;
  float most_scale = 0;
  choice choices[blocks];
  for (size_t b = 0; b < blocks; b++) {
    float x[BLOCK] = {0};
    float most = 0;
    for (size_t i = 0; i < BLOCK && b * BLOCK + i < columns; i++) {
      x[i] = row[b * BLOCK + i];
      most = magnitude(x[i]) > most ? magnitude(x[i]) : most;
    }
    choices[b] = best_choice(x, most);
    float m = magnitude(choices[b].scale);
    most_scale = m > most_scale ? m : most_scale;
  }
  float unit = most_scale / 127.0f;
  float a = 0, bsum = 0;
  for (size_t b = 0; b < blocks; b++) {
    int l = unit > 0 ? nearest_odd(choices[b].scale / unit) : 1;
    const float *grid = grids[choices[b].grid];
    float inverse = unit > 0 ? 1.0f / (unit * (float)l) : 0;
    block_scale[b] = (uint8_t)((l + CK_Q4_SCALE_BIAS) | choices[b].grid);
    int chosen[BLOCK];
    for (size_t i = 0; i < BLOCK; i++) {
      size_t c = b * BLOCK + i;
      float x = c < columns ? row[c] : 0;
      chosen[i] = nearest_code(grid, x * inverse);
      a += x * (float)l * grid[chosen[i]];
      bsum += (float)(l * l) * grid[chosen[i]] * grid[chosen[i]];
    }
    for (size_t i = 0; i < BLOCK / 2; i++)
      codes[b * BLOCK / 2 + i] = (uint8_t)(chosen[2 * i] | chosen[2 * i + 1] << 4);
  }
  *row_scale = unit > 0 ? a / bsum : 0;
}

void ck_q4_encode(
    const float *x, size_t rows, size_t columns, float *row_scale, uint8_t *block_scale,
    uint8_t *codes) {
  size_t padded = ck_padded_columns(columns);
  for (size_t r = 0; r < rows; r++)
    encode_row(
        x + r * columns, columns, row_scale + r, block_scale + r * (padded / BLOCK),
        codes + r * (padded / 2));
}
