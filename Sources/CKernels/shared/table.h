// The table of one instruction set, whose file defines CK_TABLE, its name.
#include "attend.h"
#include "quantized.h"
#include "rows.h"
#include "tables.h"

const ck_kernels CK_TABLE = {
    .quantize = quantize,
    .multiply = multiply,
    .gather = ck_ref_gather,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .add = add,
    .scale = scale,
    .softcap = softcap,
    .activate = activate,
    .gate = gate,
    .rotate = rotate,
    .argmax = argmax,
    .log_sum_exp = log_sum_exp,
    .store = store_position,
    .attend = attend,
    .f16_to_f32 = f16_to_f32,
    .bf16_to_f32 = bf16_to_f32,
    .f32_to_f16 = f32_to_f16,
    .f32_to_bf16 = f32_to_bf16,
    .all_finite = all_finite,
    .read = read_all,
};
