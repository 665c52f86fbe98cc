#include "ck_formats.h"
#include "ck_kernels.h"
#include "ck_pool.h"
#include "ck_quantize.h"
