// Which kernels run on this processor.
#include "tables.h"

ptrdiff_t ck_attention_scratch(ptrdiff_t span, ptrdiff_t padded_dimension) {
  // Scores of the queries treated together, on whole groups of positions, and their q and y.
  const ptrdiff_t groups = (span + CK_QUERIES) / CK_GROUP + 2;
  return CK_QUERIES * (groups * CK_GROUP + 2 * padded_dimension);
}

const ck_kernels *ck_kernels_find(int32_t instruction_set) {
  switch (instruction_set) {
    case CK_REFERENCE: return &ck_reference_kernels;
    default: return 0;
  }
}
