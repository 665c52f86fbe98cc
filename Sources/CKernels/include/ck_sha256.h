/* SHA-256 (FIPS 180-4) of two messages at once. One message leaves a processor's SHA unit waiting
 * for itself half of the time; a second fills the gaps. */
#ifndef CK_SHA256_H
#define CK_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t state[8];
  uint64_t bytes;
  /* What is left of the message behind its last whole block: bytes modulo 64. */
  uint8_t rest[64];
} ck_sha256;

/* Whether this processor has the instructions; without them the others must not be called. */
int ck_sha256_is_supported(void);

void ck_sha256_start(ck_sha256 *digest);

/* Appends to both messages. */
void ck_sha256_update(ck_sha256 *first, const uint8_t *a, size_t a_bytes, ck_sha256 *second,
                      const uint8_t *b, size_t b_bytes);

void ck_sha256_finish(ck_sha256 *digest, uint8_t out[32]);

#endif
