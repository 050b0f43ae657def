#include "common/rpc/binding.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/address_socket.h"

enum { LOCK_TRIES = 40, LOCK_PAUSE_MS = 50 };

static void directory_of(const char *path, char directory[ADDRESS_HOST_MAX])
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(directory, ADDRESS_HOST_MAX, ".");
    else
        snprintf(directory, ADDRESS_HOST_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* False: the directory cannot be read, or others hold its lock all the time. Then we go on without. */
static bool lock_directory(const char *path, struct file_lock *lock)
{
    char directory[ADDRESS_HOST_MAX];
    enum status status = STATUS_ALREADY_EXISTS;
    directory_of(path, directory);
    for (int i = 0; i < LOCK_TRIES && status == STATUS_ALREADY_EXISTS; i++) {
        if (i > 0)
            poll(NULL, 0, LOCK_PAUSE_MS);
        status = directory_lock_try(directory, lock, NULL);
    }
    return status == STATUS_OK;
}

/* A program whose queue of connections is full listens, too. */
static bool somebody_listens(const struct socket_address *resolved)
{
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return false;
    bool answers =
        !connect(descriptor, (const struct sockaddr *)&resolved->bytes, resolved->size) || errno == EAGAIN;
    close(descriptor);
    return answers;
}

enum status binding_begin(const struct address *address, struct binding *binding, struct error *error)
{
    struct socket_address resolved;
    *binding = (struct binding){0};
    if (address->kind != ADDRESS_UNIX)
        return STATUS_OK;
    binding->is_locked = lock_directory(address->host, &binding->lock);
    if (address_resolve(address, &resolved, error) == STATUS_OK && somebody_listens(&resolved)) {
        binding_end(binding);
        return error_set(error, STATUS_UNAVAILABLE,
                         "cannot listen on unix:%s: another program listens there; choose another path or "
                         "end that",
                         address->host);
    }
    return STATUS_OK;
}

void binding_end(struct binding *binding)
{
    if (binding->is_locked)
        file_lock_release(&binding->lock);
    binding->is_locked = false;
}

/* ---- why not ---- */

/* A file that is no socket is in the way; gRPC leaves it alone. */
static bool is_file(const struct address *address)
{
    struct stat found;
    return address->kind == ADDRESS_UNIX && !lstat(address->host, &found) && !S_ISSOCK(found.st_mode);
}

static const char *remedy(const struct address *address, int reason)
{
    if (reason != EADDRINUSE)
        return "";
    if (address->kind == ADDRESS_TCP)
        return "; another program has this port, choose another or end that";
    return is_file(address) ? "; a file that is no socket has this name"
                            : "; another program has this name, choose another or end that";
}

/* errno's value; 0: it works by hand. */
static int reason_not_to_listen(const struct socket_address *resolved, const struct address *address)
{
    int reason = 0, descriptor = address_listen(resolved, 1, &reason);
    if (descriptor < 0)
        return reason;
    close(descriptor);
    if (address->kind == ADDRESS_UNIX)
        unlink(address->host); /* we have made it */
    return 0;
}

enum status binding_refuse(const struct address *address, struct error *error)
{
    char text[ADDRESS_TEXT_MAX];
    struct socket_address resolved;
    address_format_bound(address, (int)strtol(address->port, NULL, 10), text);
    if (address_resolve(address, &resolved, error) != STATUS_OK)
        return error_prefix(error, "cannot listen on %s", text);
    int reason = reason_not_to_listen(&resolved, address);
    return error_set(error, STATUS_UNAVAILABLE, "cannot listen on %s: %s%s", text,
                     reason ? strerror(reason) : "gRPC does not say why", remedy(address, reason));
}
