/* All encoders and decoders of one instruction set. */
#include "decode.h"
#include "feedback.h"
#include "q4.h"
#include "q8.h"

#define CK_QUANTIZER                                                                        \
  {.q4 = encode4, .q8 = encode8, .decode_q4 = decode4, .decode_q8 = decode8,                \
   .squares = squares, .add_products = add_products_of_columns,                             \
   .factor_diagonal = factor_diagonal, .solve_panel = solve_panel,                          \
   .update_rows = update_rows, .feed_back = feed_back}
