// Compares the kernels of an instruction set with the reference, bit for bit, on random shapes: for
// processors whose Swift tests cannot run here. `make neon` builds it for AArch64 and runs it in
// an emulator. Argument: the index of the set in ck_kernels.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

static uint64_t state = 2026;

static uint32_t random_bits(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33);
}

static ptrdiff_t up_to(ptrdiff_t most) { return 1 + (ptrdiff_t)(random_bits() % (uint32_t)most); }

static float number(void) { return (float)((int32_t)(random_bits() % 20001) - 10000) / 2500.0f; }

static void *memory(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!p) abort();
  memset(p, 0, (bytes + 127) / 64 * 64);
  return p;
}

static float *numbers(ptrdiff_t n) {
  float *p = memory(sizeof(float) * (size_t)n);
  for (ptrdiff_t i = 0; i < n; i++) p[i] = number();
  return p;
}

static int failures;

static void same(const char *what, const void *a, const void *b, size_t bytes) {
  if (memcmp(a, b, bytes) == 0) return;
  printf("%s differs\n", what);
  failures += 1;
}

static const ck_kernels *reference, *tested;
static int32_t set;

static ck_activations activations(const float *x, ptrdiff_t tokens, ptrdiff_t columns,
                                  const ck_kernels *kernels) {
  const ptrdiff_t blocks = (columns + 63) / 64 * 2, stride = ((columns + 63) / 64 | 1) * 64;
  const size_t each = (size_t)(tokens * blocks) * 4;
  ck_activations q = {.codes = memory((size_t)(tokens * stride)),
                      .raised_codes = memory((size_t)(tokens * stride)), .scales = memory(each),
                      .sums = memory(each), .offsets = memory(2 * each),
                      .fine_codes = memory((size_t)(2 * tokens * stride)),
                      .fine_scales = memory(each), .fine_offsets = memory(each),
                      .code_stride = stride, .blocks = blocks};
  for (ptrdiff_t t = 0; t < tokens; t++) kernels->quantize(x + t * columns, columns, t, &q);
  return q;
}

static void forget(ck_activations q) {
  free(q.codes), free(q.raised_codes), free(q.scales), free(q.sums), free(q.offsets);
  free(q.fine_codes), free(q.fine_scales), free(q.fine_offsets);
}

static ck_weights weights(int32_t format, ptrdiff_t rows, ptrdiff_t columns) {
  const ptrdiff_t groups = (rows + CK_GROUP - 1) / CK_GROUP;
  ck_weights w = {.format = format, .rows = rows, .columns = columns};
  const ptrdiff_t block_bytes = ck_ggml_block_bytes(format);
  const ptrdiff_t width = ck_ggml_block_columns(format);
  w.blocks = format == CK_Q4 ? (columns + 63) / 64 * 2 : (columns + width - 1) / width;
  const ptrdiff_t bytes = format == CK_F32   ? groups * CK_GROUP * columns * 4
                          : format == CK_Q8  ? groups * w.blocks * 512
                          : format == CK_Q4  ? groups * w.blocks / 2 * CK_Q4_UNIT
                          : block_bytes > 0  ? groups * CK_GROUP * w.blocks * block_bytes
                                             : groups * CK_GROUP * columns * 2;
  w.codes = memory((size_t)bytes);
  for (ptrdiff_t i = 0; i < bytes; i++) w.codes[i] = (uint8_t)random_bits();
  // Ordinary numbers: exponents near that of one.
  if (format == CK_F32) {
    for (ptrdiff_t i = 3; i < bytes; i += 4) w.codes[i] = 0x3f | (w.codes[i] & 0x80);
  } else if (format == CK_F16 || format == CK_BF16) {
    for (ptrdiff_t i = 1; i < bytes; i += 2) w.codes[i] = 0x3c | (w.codes[i] & 0x80);
  } else if (format == CK_Q8) {
    for (ptrdiff_t i = 0; i < bytes; i++) w.codes[i] = w.codes[i] == 0x80 ? 0 : w.codes[i];
  }
  // No scale of 16 bits is an infinity or large.
  for (ptrdiff_t i = 0; block_bytes > 0 && i < bytes; i++) w.codes[i] &= 0xbb;
  w.block_scales = memory((size_t)(groups * w.blocks * CK_GROUP));
  for (ptrdiff_t i = 0; i < groups * w.blocks * CK_GROUP; i++) {
    w.block_scales[i] = (uint8_t)random_bits();
  }
  w.row_scales = numbers(groups * CK_GROUP);
  return w;
}

static void check_products(void) {
  const ptrdiff_t rows = up_to(70), columns = up_to(300);
  const ptrdiff_t tokens = up_to(2) == 1 ? 1 : up_to(140);
  float *x = numbers(tokens * columns), *bias = numbers(rows);
  const ck_activations a = activations(x, tokens, columns, reference);
  const ck_activations b = activations(x, tokens, columns, tested);
  for (int32_t format = CK_F32; format <= CK_IQ4_XS; format++) {
    const ck_weights w = weights(format, rows, columns);
    float *expected = memory(sizeof(float) * (size_t)(tokens * rows));
    float *found = memory(sizeof(float) * (size_t)(tokens * rows));
    ck_product p = {.weights = w, .x = x, .x_stride = columns, .quantized = a, .tokens = tokens,
                    .bias = bias, .y = expected, .y_stride = rows};
    reference->multiply(&p, 0, (rows + CK_GROUP - 1) / CK_GROUP);
    p.quantized = b;
    p.y = found;
    tested->multiply(&p, 0, (rows + CK_GROUP - 1) / CK_GROUP);
    same("a product", expected, found, sizeof(float) * (size_t)(tokens * rows));
    free(w.codes), free(w.block_scales), free(w.row_scales), free(expected), free(found);
  }
  forget(a), forget(b), free(x), free(bias);
}

static void check_rows(void) {
  const ptrdiff_t n = up_to(400);
  const size_t bytes = sizeof(float) * (size_t)n;
  float *x = numbers(n), *w = numbers(n), *a = memory(bytes), *b = memory(bytes);
  reference->rms_norm(x, w, 1, 1e-5f, n, a), tested->rms_norm(x, w, 1, 1e-5f, n, b);
  same("rms_norm", a, b, bytes);
  reference->layer_norm(x, w, x, 1e-5f, n, a), tested->layer_norm(x, w, x, 1e-5f, n, b);
  same("layer_norm", a, b, bytes);
  for (int32_t activation = CK_SILU; activation <= CK_GELU_QUICK; activation++) {
    memcpy(a, x, bytes), memcpy(b, x, bytes);
    reference->gate(a, w, activation, n), tested->gate(b, w, activation, n);
    same("gate", a, b, bytes);
  }
  reference->softcap(a, 3, n), tested->softcap(b, 3, n);
  same("softcap", a, b, bytes);
  if (reference->argmax(x, n) != tested->argmax(x, n)) same("argmax", "a", "b", 1);
  const double sums[2] = {reference->log_sum_exp(x, n), tested->log_sum_exp(x, n)};
  same("log_sum_exp", &sums[0], &sums[1], sizeof(double));
  free(x), free(w), free(a), free(b);
}

static void check_encoders(void) {
  const ck_quantizer *plain = ck_quantizer_find(CK_REFERENCE), *fast = ck_quantizer_find(set);
  const ptrdiff_t rows = up_to(70), columns = up_to(300);
  const size_t r = (size_t)rows, c = (size_t)columns, padded = ck_padded_columns(c);
  float *x = numbers(rows * columns), *importance = numbers(columns);
  for (size_t i = 0; i < c; i++) importance[i] = importance[i] < 0 ? 0 : importance[i];
  for (int turn = 0; turn < 12; turn++) {
    ck_encoding e[2];
    float *values[2];
    for (int k = 0; k < 2; k++) {
      e[k] = (ck_encoding){.x = x, .rows = r, .columns = c, .effort = turn % 3,
                           .importance = turn / 3 % 2 ? importance : NULL,
                           .row_scale = memory(4 * r), .block_scale = memory(r * padded),
                           .codes = memory(r * padded)};
      memset(e[k].block_scale, 0, r * padded), memset(e[k].codes, 0, r * padded);
      values[k] = memory(4 * r * c);
      const ck_quantizer *q = k ? fast : plain;
      (turn < 6 ? q->q4 : q->q8)(&e[k]);
      (turn < 6 ? q->decode_q4 : q->decode_q8)(
          e[k].row_scale, e[k].block_scale, e[k].codes, r, c, values[k]);
    }
    same("row scales", e[0].row_scale, e[1].row_scale, 4 * r);
    same("block scales", e[0].block_scale, e[1].block_scale, r * padded);
    same("codes", e[0].codes, e[1].codes, r * padded);
    same("decoded weights", values[0], values[1], 4 * r * c);
    double sums[2][2] = {{0}};
    plain->squares(x, values[0], r * c, sums[0]), fast->squares(x, values[0], r * c, sums[1]);
    same("squares", sums[0], sums[1], sizeof sums[0]);
    for (int k = 0; k < 2; k++)
      free(e[k].row_scale), free(e[k].block_scale), free(e[k].codes), free(values[k]);
  }
  free(x), free(importance);
}

int main(int count, char **arguments) {
  reference = ck_kernels_find(CK_REFERENCE);
  set = count > 1 ? atoi(arguments[1]) : CK_NEON;
  tested = ck_kernels_find(set);
  if (!tested) {
    printf("this processor or build lacks the instruction set\n");
    return 1;
  }
  const int rounds = 60;
  for (int i = 0; i < rounds; i++) check_products(), check_rows(), check_encoders();
  printf("%d rounds, %d differences\n", rounds, failures);
  return failures > 0;
}
