// Which encoders run on this processor.
#include "ck_kernels.h"
#include "ck_quantize.h"

extern const ck_quantizer ck_reference_quantizer;
#if defined(__x86_64__)
extern const ck_quantizer ck_avx2_quantizer, ck_avx512_quantizer;
#elif defined(__aarch64__)
extern const ck_quantizer ck_neon_quantizer;
#endif

const ck_quantizer *ck_quantizer_find(int32_t instruction_set) {
  // A processor has the encoders of a set if it has its kernels.
  if (!ck_kernels_find(instruction_set)) return 0;
  switch (instruction_set) {
    case CK_REFERENCE: return &ck_reference_quantizer;
#if defined(__x86_64__)
    case CK_AVX2:
    case CK_AVXVNNI: return &ck_avx2_quantizer;
    case CK_AVX512: return &ck_avx512_quantizer;
#elif defined(__aarch64__)
    case CK_NEON: return &ck_neon_quantizer;
#endif
    default: return 0;
  }
}
