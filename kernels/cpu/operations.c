#include "kernels/cpu/operations.h"

#include "kernels/cpu/functions.h"
#include "kernels/cpu/pack.h"

const struct operations ISA(operations) = {
    .name = ISA_NAME,
    .pack = ISA(pack),
    .pack_pairs = ISA(pack_pairs),
    .embed = ISA(embed),
    .gather_rows = ISA(gather_rows),
    .matmul = ISA(matmul),
    .norm_modulate = ISA(norm_modulate),
    .gated_add = ISA(gated_add),
    .attention = ISA(attention),
    .head_scan = ISA(head_scan),
    .head_draw = ISA(head_draw),
    .add = ISA(add),
};
