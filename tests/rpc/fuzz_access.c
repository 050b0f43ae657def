#include <stdlib.h>

#include "common/rpc/access_table.h"
#include "tests/rpc/fuzz.h"

int fuzz_access(const uint8_t *bytes, size_t size_bytes)
{
    struct access_table table;
    struct error error = {STATUS_OK, ""};
    if (access_table_parse((const char *)bytes, size_bytes, &table, &error) != STATUS_OK) {
        if (error.status == STATUS_OK || !*error.text)
            abort();
        return 0;
    }
    for (size_t i = 0; i < table.n; i++) {
        const struct access_client *client = &table.clients[i];
        bool whole = access_name_is_legal(client->caller.name) && client->caller.authenticated &&
                     (client->caller.scopes & RPC_SCOPES_ALL) == client->caller.scopes &&
                     client->caller.scopes && (client->has_token || client->certificate);
        if (!whole)
            abort();
    }
    access_table_release(&table);
    return 1;
}
