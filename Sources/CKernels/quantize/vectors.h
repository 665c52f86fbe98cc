/* Vectors of VECTOR_BYTES. */
#include <stdint.h>

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline))
#endif

typedef float v32f __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t v32i __attribute__((vector_size(VECTOR_BYTES)));
typedef int16_t v16i __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t v16u __attribute__((vector_size(VECTOR_BYTES)));
typedef int8_t v8i __attribute__((vector_size(VECTOR_BYTES)));
typedef uint8_t v8u __attribute__((vector_size(VECTOR_BYTES)));
typedef int8_t sixteen_i8 __attribute__((vector_size(16)));
