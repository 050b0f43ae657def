#include "cli/convert/networks.h"

#include <string.h>

/* True for a state dict without a key around it: its tensors stand in the root. */
static bool has_tensors(const struct pickle_value *root)
{
    for (size_t i = 1; root->kind == PICKLE_DICT && i < root->items.n; i += 2)
        if (root->items.items[i]->kind == PICKLE_TENSOR)
            return true;
    return false;
}

const struct pickle_value *network_find(const struct checkpoint_network *network,
                                        const struct pickle_value *root)
{
    if (strcmp(network->entry, NETWORK_WHOLE_FILE) == 0)
        return has_tensors(root) ? root : NULL;
    return pickle_get(root, network->entry);
}
