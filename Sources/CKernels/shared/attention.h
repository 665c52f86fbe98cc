// Where keys and values lie and which of them a position attends to.
#ifndef CK_ATTENTION_H
#define CK_ATTENTION_H

#include "ck_kernels.h"

static inline ptrdiff_t ck_key_index(const ck_cache *c, ptrdiff_t head, ptrdiff_t slot,
                                     ptrdiff_t d) {
  const ptrdiff_t group = head * (c->capacity / CK_GROUP) + slot / CK_GROUP;
  return (group * c->head_dimension + d) * CK_GROUP + slot % CK_GROUP;
}

static inline ptrdiff_t ck_value_index(const ck_cache *c, ptrdiff_t head, ptrdiff_t slot) {
  return (head * c->capacity + slot) * c->padded_dimension;
}

// Positions first … last, both included.
typedef struct ck_span {
  ptrdiff_t first;
  ptrdiff_t last;
} ck_span;

static inline ck_span ck_attention_span(const ck_attention *a, ptrdiff_t position) {
  ptrdiff_t first = 0;
  if (a->window > 0 && position >= a->window) first = position - a->window + 1;
  return (ck_span){first, position};
}

#endif
