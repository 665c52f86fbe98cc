// SHA-256 by the SHA instructions of x86-64, one or two messages at a time.
#include "ck_sha256.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define CK_SHA_TARGET __attribute__((target("sha,sse4.1")))

int ck_sha256_is_supported(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3)) return 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

// The first 32 bits of the fractions of the cube roots of the first 64 primes (§4.2.2).
static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// The state as the instructions take it: words a, b, e, f and words c, d, g, h.
typedef struct {
  __m128i abef, cdgh;
} halves;

CK_SHA_TARGET static inline halves load_state(const uint32_t state[8]) {
  const __m128i first = _mm_loadu_si128((const __m128i *)state);
  const __m128i last = _mm_loadu_si128((const __m128i *)(state + 4));
  const __m128i badc = _mm_shuffle_epi32(first, 0xb1);
  const __m128i hgfe = _mm_shuffle_epi32(last, 0x1b);
  return (halves){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
}

CK_SHA_TARGET static inline void store_state(halves words, uint32_t state[8]) {
  const __m128i feba = _mm_shuffle_epi32(words.abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(words.cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

// Four words of the message schedule: of the block itself, later of the sixteen before them.
CK_SHA_TARGET static inline __m128i schedule(const __m128i w[4], int group, const uint8_t *block) {
  if (group < 4) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(block + 16 * group));
    return _mm_shuffle_epi8(bytes, big_endian);
  }
  const __m128i a = w[group & 3], b = w[(group + 1) & 3];
  const __m128i c = w[(group + 2) & 3], d = w[(group + 3) & 3];
  const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
  return _mm_sha256msg2_epu32(sum, d);
}

CK_SHA_TARGET static inline void four_rounds(halves *s, __m128i words, int group) {
  const __m128i k = _mm_load_si128((const __m128i *)(constants + 4 * group));
  const __m128i sum = _mm_add_epi32(words, k);
  s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, sum);
  s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

CK_SHA_TARGET static inline void add(halves *s, halves before) {
  s->abef = _mm_add_epi32(s->abef, before.abef);
  s->cdgh = _mm_add_epi32(s->cdgh, before.cdgh);
}

CK_SHA_TARGET static void one_message(uint32_t state[8], const uint8_t *a, size_t blocks) {
  halves s = load_state(state);
  for (; blocks > 0; blocks--, a += 64) {
    const halves before = s;
    __m128i w[4];
#pragma clang loop unroll(full)
    for (int group = 0; group < 16; group++) {
      w[group & 3] = schedule(w, group, a);
      four_rounds(&s, w[group & 3], group);
    }
    add(&s, before);
  }
  store_state(s, state);
}

CK_SHA_TARGET static void two_messages(uint32_t first[8], const uint8_t *a, uint32_t second[8],
                                       const uint8_t *b, size_t blocks) {
  halves s = load_state(first), t = load_state(second);
  for (; blocks > 0; blocks--, a += 64, b += 64) {
    const halves s_before = s, t_before = t;
    __m128i v[4], w[4];
#pragma clang loop unroll(full)
    for (int group = 0; group < 16; group++) {
      v[group & 3] = schedule(v, group, a);
      four_rounds(&s, v[group & 3], group);
      w[group & 3] = schedule(w, group, b);
      four_rounds(&t, w[group & 3], group);
    }
    add(&s, s_before);
    add(&t, t_before);
  }
  store_state(s, first);
  store_state(t, second);
}
#else
int ck_sha256_is_supported(void) { return 0; }

static void one_message(uint32_t state[8], const uint8_t *a, size_t blocks) {
  (void)state, (void)a, (void)blocks;
}

static void two_messages(uint32_t first[8], const uint8_t *a, uint32_t second[8],
                         const uint8_t *b, size_t blocks) {
  (void)first, (void)a, (void)second, (void)b, (void)blocks;
}
#endif

void ck_sha256_start(ck_sha256 *digest) {
  // The first 32 bits of the fractions of the square roots of the first eight primes (§5.3.3).
  static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(digest->state, initial, sizeof initial);
  digest->bytes = 0;
}

// Fills a block that was begun; returns the bytes it took.
static size_t fill(ck_sha256 *digest, const uint8_t *message, size_t bytes) {
  const size_t begun = digest->bytes & 63;
  if (begun == 0) return 0;
  const size_t taken = bytes < 64 - begun ? bytes : 64 - begun;
  memcpy(digest->rest + begun, message, taken);
  digest->bytes += taken;
  if (begun + taken == 64) one_message(digest->state, digest->rest, 1);
  return taken;
}

static void keep(ck_sha256 *digest, const uint8_t *message, size_t bytes) {
  memcpy(digest->rest, message + (bytes & ~(size_t)63), bytes & 63);
  digest->bytes += bytes;
}

void ck_sha256_update(ck_sha256 *first, const uint8_t *a, size_t a_bytes, ck_sha256 *second,
                      const uint8_t *b, size_t b_bytes) {
  const size_t a_taken = fill(first, a, a_bytes), b_taken = fill(second, b, b_bytes);
  a += a_taken, a_bytes -= a_taken;
  b += b_taken, b_bytes -= b_taken;
  const size_t a_blocks = a_bytes / 64, b_blocks = b_bytes / 64;
  const size_t both = a_blocks < b_blocks ? a_blocks : b_blocks;
  two_messages(first->state, a, second->state, b, both);
  one_message(first->state, a + 64 * both, a_blocks - both);
  one_message(second->state, b + 64 * both, b_blocks - both);
  // A block that was begun and not filled took everything.
  if (a_bytes > 0) keep(first, a, a_bytes);
  if (b_bytes > 0) keep(second, b, b_bytes);
}

void ck_sha256_finish(ck_sha256 *digest, uint8_t out[32]) {
  // 0x80, zeros, and the length in bits, so that blocks are whole (§5.1.1).
  uint8_t padding[128] = {0x80};
  const size_t begun = digest->bytes & 63;
  const size_t zeros = (begun < 56 ? 56 : 120) - begun;
  const uint64_t bits = digest->bytes * 8;
  for (int i = 0; i < 8; i++) padding[zeros + i] = (uint8_t)(bits >> (56 - 8 * i));
  ck_sha256 none;
  ck_sha256_start(&none);
  ck_sha256_update(digest, padding, zeros + 8, &none, padding, 0);
  for (int i = 0; i < 32; i++) out[i] = (uint8_t)(digest->state[i / 4] >> (24 - 8 * (i & 3)));
}
