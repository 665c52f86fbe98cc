// Attention for a few queries of one key-value head at a time, which share the reads of keys and
// values. reference/attention.c says what is computed; lanes are keys in the scores and
// dimensions in the values, so no sum crosses lanes but that of the softmax.
#ifndef CK_ATTEND_H
#define CK_ATTEND_H

#include <math.h>

#include "attention.h"
#include "convert.h"
#include "functions.h"

// Keys whose values are added before the next dimensions' turn: they stay in the first cache.
#define CK_KEY_TILE 64

typedef struct ck_query {
  const float *q;
  float *y;
  ck_span span;
  float *weights;  // [groups * 16]: scores, then weights
  float sum;
} ck_query;

typedef struct ck_queries {
  const ck_attention *attention;
  ptrdiff_t kv_head;
  ptrdiff_t first_group;  // of 16 positions
  ptrdiff_t last_group;
  ptrdiff_t count;
  ck_query query[CK_QUERIES];
  float *sums;  // [CK_QUERIES][padded dimension]
} ck_queries;

CK_INLINE v16f numbers_at(const void *plane, ptrdiff_t index, const int is_f16) {
  return is_f16 ? from_f16((const uint16_t *)plane + index) : load((const float *)plane + index);
}

// Dot products of `queries` queries with `groups` groups of 16 keys.
CK_INLINE void score_groups(const ck_queries *all, ptrdiff_t first, const int queries,
                            ptrdiff_t group, const int groups, const int is_f16) {
  const ck_cache *cache = &all->attention->cache;
  const ptrdiff_t ring = cache->capacity / CK_GROUP;
  const ptrdiff_t dimension = cache->head_dimension;
  ptrdiff_t keys[4];
  v16f dots[4][4];
  for (int g = 0; g < groups; g++) {
    keys[g] = ck_key_index(cache, all->kv_head, (group + g) % ring * CK_GROUP, 0);
    for (int i = 0; i < queries; i++) dots[g][i] = splat(0.0f);
  }
  for (ptrdiff_t d = 0; d < dimension; d++) {
#pragma clang loop unroll(full)
    for (int g = 0; g < groups; g++) {
      const v16f k = numbers_at(cache->keys, keys[g] + d * CK_GROUP, is_f16);
#pragma clang loop unroll(full)
      for (int i = 0; i < queries; i++) {
        dots[g][i] = multiply_add(k, splat(all->query[first + i].q[d]), dots[g][i]);
      }
    }
  }
  for (int g = 0; g < groups; g++) {
    for (int i = 0; i < queries; i++) {
      store(all->query[first + i].weights + (group + g - all->first_group) * CK_GROUP,
            dots[g][i]);
    }
  }
}

CK_INLINE void score_all(const ck_queries *all, const int is_f16) {
  ptrdiff_t group = all->first_group;
  for (; group + 4 <= all->last_group + 1; group += 4) {
    ptrdiff_t i = 0;
    for (; i + 4 <= all->count; i += 4) {
      for (int g = 0; g < 4; g++) score_groups(all, i, 4, group + g, 1, is_f16);
    }
    for (; i < all->count; i++) score_groups(all, i, 1, group, 4, is_f16);
  }
  for (; group <= all->last_group; group++) {
    ptrdiff_t i = 0;
    for (; i + 4 <= all->count; i += 4) score_groups(all, i, 4, group, 1, is_f16);
    for (; i < all->count; i++) score_groups(all, i, 1, group, 1, is_f16);
  }
}

// Lanes whose positions the query attends to.
CK_INLINE v16i attended(const ck_query *query, ptrdiff_t group) {
  const v16i position = lanes_from((int32_t)(group * CK_GROUP));
  return (position >= (int32_t)query->span.first) & (position <= (int32_t)query->span.last);
}

// Turns scores into weights exp(score - highest), zero where the query does not attend.
static void weigh(const ck_queries *all, ck_query *query) {
  const ck_attention *a = all->attention;
  const ptrdiff_t first = query->span.first / CK_GROUP, last = query->span.last / CK_GROUP;
  float *weights = query->weights - all->first_group * CK_GROUP;
  v16f highest = splat(-INFINITY);
  for (ptrdiff_t g = first; g <= last; g++) {
    v16f score = load(weights + g * CK_GROUP) * splat(a->scale);
    if (a->softcap > 0) {
      score = splat(a->softcap) * hyperbolic_tangent(score / splat(a->softcap));
    }
    store(weights + g * CK_GROUP, score);
    if (g == first || g == last) score = choose(attended(query, g), score, splat(-INFINITY));
    highest = choose(score > highest, score, highest);
  }
  const v16f shift = splat(largest(highest));
  v16f sums = splat(0.0f);
  for (ptrdiff_t g = first; g <= last; g++) {
    v16f weight = exponential(load(weights + g * CK_GROUP) - shift);
    if (g == first || g == last) weight = choose(attended(query, g), weight, splat(0.0f));
    store(weights + g * CK_GROUP, weight);
    sums = sums + weight;
  }
  query->sum = tree(sums);
}

// Adds weight * value for the positions begin ..< end, which lie side by side in the ring, to the
// sums of `queries` queries in `vectors` * 16 dimensions from d on.
CK_INLINE void add_values(const ck_queries *all, ptrdiff_t first, const int queries, ptrdiff_t d,
                          const int vectors, ptrdiff_t begin, ptrdiff_t end, const int is_f16) {
  const ck_cache *cache = &all->attention->cache;
  const ptrdiff_t padded = cache->padded_dimension;
  ptrdiff_t at = ck_value_index(cache, all->kv_head, begin % cache->capacity) + d;
  v16f sums[4][4];
  for (int i = 0; i < queries; i++) {
    for (int v = 0; v < vectors; v++) {
      sums[i][v] = load(all->sums + (first + i) * padded + d + 16 * v);
    }
  }
  const ptrdiff_t origin = all->first_group * CK_GROUP;
  for (ptrdiff_t j = begin; j < end; j++, at += padded) {
    v16f value[4];
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) value[v] = numbers_at(cache->values, at + 16 * v, is_f16);
#pragma clang loop unroll(full)
    for (int i = 0; i < queries; i++) {
      const v16f weight = splat(all->query[first + i].weights[j - origin]);
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) {
        sums[i][v] = multiply_add(weight, value[v], sums[i][v]);
      }
    }
  }
  for (int i = 0; i < queries; i++) {
    for (int v = 0; v < vectors; v++) {
      store(all->sums + (first + i) * padded + d + 16 * v, sums[i][v]);
    }
  }
}

CK_INLINE void add_all_dimensions(const ck_queries *all, ptrdiff_t first, const int queries,
                                  ptrdiff_t begin, ptrdiff_t end, const int is_f16) {
  const ptrdiff_t padded = all->attention->cache.padded_dimension;
  const int wide = queries == 1 ? 4 : CK_VALUE_VECTORS;
  ptrdiff_t d = 0;
  for (; d + 16 * wide <= padded; d += 16 * wide) {
    add_values(all, first, queries, d, wide, begin, end, is_f16);
  }
  for (; d < padded; d += 16) add_values(all, first, queries, d, 1, begin, end, is_f16);
}

// The same for queries first ..< first + queries, each with the positions it attends to.
CK_INLINE void add_tile(const ck_queries *all, ptrdiff_t first, const int queries,
                        ptrdiff_t begin, ptrdiff_t end, const int is_f16) {
  // What all attend to goes together; the fringes before and after go one by one.
  ptrdiff_t common_begin = begin, common_end = end;
  for (int i = 0; i < queries; i++) {
    const ck_span span = all->query[first + i].span;
    if (span.first > common_begin) common_begin = span.first;
    if (span.last + 1 < common_end) common_end = span.last + 1;
  }
  const int any = common_begin < common_end;
  for (int i = 0; i < queries; i++) {
    const ck_span span = all->query[first + i].span;
    const ptrdiff_t from = span.first > begin ? span.first : begin;
    const ptrdiff_t own_end = span.last + 1 < end ? span.last + 1 : end;
    const ptrdiff_t to = any && common_begin < own_end ? common_begin : own_end;
    if (from < to) add_all_dimensions(all, first + i, 1, from, to, is_f16);
  }
  if (!any) return;
  add_all_dimensions(all, first, queries, common_begin, common_end, is_f16);
  for (int i = 0; i < queries; i++) {
    const ptrdiff_t own_end = all->query[first + i].span.last + 1;
    const ptrdiff_t to = own_end < end ? own_end : end;
    if (common_end < to) add_all_dimensions(all, first + i, 1, common_end, to, is_f16);
  }
}

CK_INLINE void add_all(const ck_queries *all, const int is_f16) {
  const ptrdiff_t capacity = all->attention->cache.capacity;
  const ptrdiff_t last = all->query[all->count - 1].span.last;
  ptrdiff_t begin = all->query[0].span.first;
  while (begin <= last) {
    // Tiles end where the ring does.
    ptrdiff_t end = begin + CK_KEY_TILE < last + 1 ? begin + CK_KEY_TILE : last + 1;
    const ptrdiff_t left = capacity - begin % capacity;
    if (end - begin > left) end = begin + left;
    ptrdiff_t i = 0;
    for (; i + 4 <= all->count; i += 4) add_tile(all, i, 4, begin, end, is_f16);
    for (; i < all->count; i++) add_tile(all, i, 1, begin, end, is_f16);
    begin = end;
  }
}

static void attend_queries(ck_queries *all) {
  const ck_cache *cache = &all->attention->cache;
  if (cache->is_f16) score_all(all, 1); else score_all(all, 0);
  for (ptrdiff_t i = 0; i < all->count; i++) weigh(all, &all->query[i]);
  float sums[CK_QUERIES * CK_HEAD_LIMIT];
  memset(sums, 0, sizeof(float) * (size_t)(all->count * cache->padded_dimension));
  all->sums = sums;
  if (cache->is_f16) add_all(all, 1); else add_all(all, 0);
  for (ptrdiff_t i = 0; i < all->count; i++) {
    const float inverse = 1.0f / all->query[i].sum;
    for (ptrdiff_t d = 0; d < cache->head_dimension; d++) {
      all->query[i].y[d] = sums[i * cache->padded_dimension + d] * inverse;
    }
  }
}

static void attend(const ck_attention *a, ptrdiff_t kv_head, ptrdiff_t first_row,
                   ptrdiff_t last_row, float *scratch) {
  const ptrdiff_t sharing = a->heads / a->cache.heads;
  const ptrdiff_t total = (last_row - first_row) * sharing;
  for (ptrdiff_t done = 0; done < total; done += CK_QUERIES) {
    ck_queries all = {.attention = a, .kv_head = kv_head};
    all.count = total - done < CK_QUERIES ? total - done : CK_QUERIES;
    const ptrdiff_t first = a->first_position + first_row + done / sharing;
    const ptrdiff_t last = a->first_position + first_row + (done + all.count - 1) / sharing;
    all.first_group = ck_attention_span(a, first).first / CK_GROUP;
    all.last_group = last / CK_GROUP;
    const ptrdiff_t lanes = (all.last_group - all.first_group + 1) * CK_GROUP;
    for (ptrdiff_t i = 0; i < all.count; i++) {
      const ptrdiff_t row = first_row + (done + i) / sharing;
      const ptrdiff_t head = kv_head * sharing + (done + i) % sharing;
      all.query[i] = (ck_query){
          .q = a->q + row * a->q_stride + head * a->cache.head_dimension,
          .y = a->y + row * a->y_stride + head * a->cache.head_dimension,
          .span = ck_attention_span(a, a->first_position + row),
          .weights = scratch + i * lanes,
      };
    }
    attend_queries(&all);
  }
}

static void store_position(const ck_cache *cache, const float *keys, const float *values,
                           ptrdiff_t position) {
  const ptrdiff_t slot = position % cache->capacity, dimension = cache->head_dimension;
  for (ptrdiff_t h = 0; h < cache->heads; h++) {
    const float *key = keys + h * dimension, *value = values + h * dimension;
    const ptrdiff_t key_index = ck_key_index(cache, h, slot, 0);
    const ptrdiff_t value_index = ck_value_index(cache, h, slot);
    if (cache->is_f16) {
      uint16_t halves[CK_HEAD_LIMIT];
      f32_to_f16(key, halves, dimension);
      uint16_t *target = (uint16_t *)cache->keys + key_index;
      for (ptrdiff_t d = 0; d < dimension; d++) target[d * CK_GROUP] = halves[d];
      f32_to_f16(value, (uint16_t *)cache->values + value_index, dimension);
    } else {
      float *target = (float *)cache->keys + key_index;
      for (ptrdiff_t d = 0; d < dimension; d++) target[d * CK_GROUP] = key[d];
      memcpy((float *)cache->values + value_index, value, sizeof(float) * (size_t)dimension);
    }
  }
}

#endif
