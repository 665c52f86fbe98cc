// Which kernels run on this processor.
#include "tables.h"

ptrdiff_t ck_attention_scratch(ptrdiff_t span) {
  // Scores of the queries treated together, on whole groups of positions.
  return CK_QUERIES * (span / CK_GROUP + 2) * CK_GROUP;
}

const ck_kernels *ck_kernels_find(int32_t instruction_set) {
  switch (instruction_set) {
    case CK_REFERENCE: return &ck_reference_kernels;
    default: return 0;
  }
}
