#include "../shared/tables.h"
#include "reference.h"

const ck_kernels ck_reference_kernels = {
    .quantize = ck_ref_quantize,
    .multiply = ck_ref_multiply,
    .gather = ck_ref_gather,
    .rms_norm = ck_ref_rms_norm,
    .layer_norm = ck_ref_layer_norm,
    .add = ck_ref_add,
    .scale = ck_ref_scale,
    .softcap = ck_ref_softcap,
    .activate = ck_ref_activate,
    .gate = ck_ref_gate,
    .rotate = ck_ref_rotate,
    .argmax = ck_ref_argmax,
    .log_sum_exp = ck_ref_log_sum_exp,
    .store = ck_ref_store,
    .attend = ck_ref_attend,
    .f16_to_f32 = ck_ref_f16_to_f32,
    .bf16_to_f32 = ck_ref_bf16_to_f32,
    .f32_to_f16 = ck_ref_f32_to_f16,
    .f32_to_bf16 = ck_ref_f32_to_bf16,
    .all_finite = ck_ref_all_finite,
    .read = ck_ref_read,
};
