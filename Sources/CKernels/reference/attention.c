// Attention over the key-value cache, one query after the other.
#include <math.h>
#include <string.h>

#include "../shared/attention.h"
#include "../shared/constants.h"
#include "reference.h"

#pragma STDC FP_CONTRACT OFF

static float load(const ck_cache *cache, const void *plane, ptrdiff_t index) {
  if (!cache->is_f16) return ((const float *)plane)[index];
  return ck_ref_from_f16(((const uint16_t *)plane)[index]);
}

static void save(const ck_cache *cache, void *plane, ptrdiff_t index, float value) {
  if (cache->is_f16) {
    ((uint16_t *)plane)[index] = ck_ref_to_f16(value);
  } else {
    ((float *)plane)[index] = value;
  }
}

void ck_ref_store(const ck_cache *cache, const float *keys, const float *values,
                  ptrdiff_t position) {
  const ptrdiff_t slot = position % cache->capacity;
  for (ptrdiff_t h = 0; h < cache->heads; h++) {
    for (ptrdiff_t d = 0; d < cache->head_dimension; d++) {
      const ptrdiff_t from = h * cache->head_dimension + d;
      save(cache, cache->keys, ck_key_index(cache, h, slot, d), keys[from]);
      save(cache, cache->values, ck_value_index(cache, h, slot) + d, values[from]);
    }
  }
}

// Scores, their softmax and the weighted sum of values of one query.
static void attend_query(const ck_attention *a, ptrdiff_t kv_head, ptrdiff_t position,
                         const float *q, float *y, float *scores) {
  const ck_cache *cache = &a->cache;
  const ck_span span = ck_attention_span(a, position);
  float highest = -INFINITY;
  for (ptrdiff_t j = span.first; j <= span.last; j++) {
    float dot = 0;
    for (ptrdiff_t d = 0; d < cache->head_dimension; d++) {
      const ptrdiff_t at = ck_key_index(cache, kv_head, j % cache->capacity, d);
      dot = fmaf(load(cache, cache->keys, at), q[d], dot);
    }
    float score = dot * a->scale;
    if (a->softcap > 0) score = a->softcap * ck_ref_tanh(score / a->softcap);
    scores[j - span.first] = score;
    highest = score > highest ? score : highest;
  }
  float lanes[16] = {0};
  for (ptrdiff_t j = span.first; j <= span.last; j++) {
    const float weight = ck_ref_exp(scores[j - span.first] - highest);
    scores[j - span.first] = weight;
    lanes[j & 15] = lanes[j & 15] + weight;
  }
  const float inverse = 1.0f / ck_ref_tree(lanes);
  for (ptrdiff_t d = 0; d < cache->head_dimension; d++) {
    float sum = 0;
    for (ptrdiff_t j = span.first; j <= span.last; j++) {
      const ptrdiff_t at = ck_value_index(cache, kv_head, j % cache->capacity) + d;
      sum = fmaf(scores[j - span.first], load(cache, cache->values, at), sum);
    }
    y[d] = sum * inverse;
  }
}

void ck_ref_attend(const ck_attention *a, ptrdiff_t kv_head, ptrdiff_t first_row,
                   ptrdiff_t last_row, float *scratch) {
  const ptrdiff_t group = a->heads / a->cache.heads;
  for (ptrdiff_t t = first_row; t < last_row; t++) {
    for (ptrdiff_t h = kv_head * group; h < (kv_head + 1) * group; h++) {
      const ptrdiff_t column = h * a->cache.head_dimension;
      attend_query(a, kv_head, a->first_position + t, a->q + t * a->q_stride + column,
                   a->y + t * a->y_stride + column, scratch);
    }
  }
}
