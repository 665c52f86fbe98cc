// Which kernels run on this processor.
#include "tables.h"

#if defined(__x86_64__)
#include <cpuid.h>

// Registers whose state the system saves: 6 for AVX, 0xe6 for AVX-512.
static int saves_registers(uint32_t wanted) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & wanted) == wanted;
}

static int has_avx2(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  if (!(c & bit_FMA) || !(c & bit_F16C) || !(c & bit_AVX)) return 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  return (b & bit_AVX2) && saves_registers(6);
}

static int has_avxvnni(void) {
  uint32_t a, b, c, d;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVXVNNI);
}

static int has_avx512(void) {
  uint32_t a, b, c, d;
  if (!has_avx2() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  const uint32_t wanted = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  return (b & wanted) == wanted && (c & bit_AVX512VNNI) && (c & bit_AVX512VBMI) &&
         saves_registers(0xe6);
}
#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>

static int has_dot_products(void) {
  return (getauxval(AT_HWCAP) >> 20) & 1;  // HWCAP_ASIMDDP
}
#else
static int has_dot_products(void) { return 1; }  // every Apple processor that runs macOS
#endif
#endif

ptrdiff_t ck_attention_scratch(ptrdiff_t span) {
  // Scores of the queries treated together, on whole groups of positions.
  return CK_QUERIES * (span / CK_GROUP + 2) * CK_GROUP;
}

const ck_kernels *ck_kernels_find(int32_t instruction_set) {
  switch (instruction_set) {
    case CK_REFERENCE: return &ck_reference_kernels;
#if defined(__x86_64__)
    case CK_AVX2: return has_avx2() ? &ck_avx2_kernels : 0;
    case CK_AVXVNNI:
      return has_avxvnni() ? &ck_avxvnni_kernels : has_avx512() ? &ck_avxvnni_evex_kernels : 0;
    case CK_AVX512: return has_avx512() ? &ck_avx512_kernels : 0;
#elif defined(__aarch64__)
    case CK_NEON: return has_dot_products() ? &ck_neon_kernels : 0;
#endif
    default: return 0;
  }
}
