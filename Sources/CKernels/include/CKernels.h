#include "ck_formats.h"
#include "ck_quantize.h"
