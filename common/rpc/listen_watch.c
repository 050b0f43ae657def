#include "common/rpc/listen_watch.h"

#include <linux/filter.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_SPAN_SECONDS 0.5
#define MEMORY_SECONDS 30.0 /* a host that was quiet for so long begins anew */
#define DEAD_SECONDS 2.0

enum { LEAST_NEWCOMERS = 8, INSTRUCTIONS_MAX = 8 + 6 * LISTEN_HOSTS };

/* ---- the filter: a program for the system, on each packet that comes to the listener ---- */

struct program {
    struct sock_filter code[INSTRUCTIONS_MAX];
    unsigned short n;
};

static void emit(struct program *program, unsigned short code, uint8_t if_true, uint8_t if_false, uint32_t k)
{
    program->code[program->n++] = (struct sock_filter){code, if_true, if_false, k};
}

static bool is_version4(const struct in6_addr *host)
{
    return IN6_IS_ADDR_V4MAPPED(host);
}

static uint32_t word_of(const struct in6_addr *host, int at)
{
    uint32_t word;
    memcpy(&word, &host->s6_addr[at], sizeof word);
    return ntohl(word);
}

static void load_word(struct program *program, int at)
{
    emit(program, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_NET_OFF + at));
}

static void return_bytes(struct program *program, uint32_t n)
{
    emit(program, BPF_RET | BPF_K, 0, 0, n);
}

/* The source's address begins at byte 12 of an IPv4 packet, and at byte 8 of an IPv6 packet. */
static void drop_version4(struct program *program, const struct in6_addr *host)
{
    load_word(program, 12);
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, word_of(host, 12));
    return_bytes(program, 0);
}

static void drop_version6(struct program *program, const struct in6_addr *host)
{
    load_word(program, 8);
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, word_of(host, 0));
    load_word(program, 12);
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, word_of(host, 4));
    return_bytes(program, 0);
}

/* Those of the version, and then everything passes. */
static void drop_all_of(struct program *program, const struct listen_watch *watch, bool version4, double now)
{
    for (int i = 0; i < LISTEN_HOSTS; i++) {
        const struct listen_host *host = &watch->hosts[i];
        if (host->span > 0 && host->until > now && is_version4(&host->host) == version4)
            (version4 ? drop_version4 : drop_version6)(program, &host->host);
    }
    return_bytes(program, UINT32_MAX);
}

static void set_filter(struct listen_watch *watch, int listener, int n, double now)
{
    struct program program = {.n = 0}, version4 = {.n = 0};
    int none = 0;
    if (n) {
        drop_all_of(&version4, watch, true, now);
        emit(&program, BPF_LD | BPF_B | BPF_ABS, 0, 0, (uint32_t)SKF_NET_OFF);
        emit(&program, BPF_ALU | BPF_RSH | BPF_K, 0, 0, 4);
        emit(&program, BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)version4.n, 4);
        memcpy(&program.code[program.n], version4.code, version4.n * sizeof *version4.code);
        program.n = (unsigned short)(program.n + version4.n);
        drop_all_of(&program, watch, false, now);
        const struct sock_fprog filter = {program.n, program.code};
        setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
    } else {
        setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
    }
    watch->n_filtered = n;
}

/* ---- who crowds ---- */

static struct in6_addr network_of(const struct in6_addr *host)
{
    struct in6_addr network = *host;
    if (!is_version4(host))
        memset(&network.s6_addr[8], 0, 8);
    return network;
}

/* The host with the most newcomers, if a quarter of them are its own; counts in one pass, as Misra and Gries
 * do: whoever has a fifth is among the last four candidates. */
static const struct connection *find_crowder(const struct connection_list *list)
{
    struct {
        const struct connection *one;
        int n;
    } candidates[4] = {{NULL, 0}};
    enum { N = sizeof candidates / sizeof *candidates };
    int n_new = 0, best = 0;
    for (size_t i = 0; i < list->n; i++) {
        int at = 0;
        if (!list->items[i].is_new)
            continue;
        n_new++;
        while (at < N && !(candidates[at].n && !memcmp(&candidates[at].one->peer.host,
                                                       &list->items[i].peer.host, sizeof(struct in6_addr))))
            at++;
        for (int free = 0; at == N && free < N; free++)
            at = candidates[free].n ? N : free;
        if (at < N) {
            candidates[at].one = &list->items[i];
            candidates[at].n++;
        } else {
            for (int j = 0; j < N; j++)
                candidates[j].n--;
        }
    }
    for (int i = 1; i < N; i++)
        best = candidates[i].n > candidates[best].n ? i : best;
    return n_new >= LEAST_NEWCOMERS && 5 * candidates[best].n >= n_new ? candidates[best].one : NULL;
}

/* The host's place, or the one that matters least. */
static struct listen_host *place_of(struct listen_watch *watch, const struct in6_addr *host, double now)
{
    struct listen_host *oldest = watch->hosts;
    for (int i = 0; i < LISTEN_HOSTS; i++) {
        struct listen_host *place = &watch->hosts[i];
        if (place->span > 0 && now > place->until + MEMORY_SECONDS)
            place->span = 0;
        if (place->span > 0 && !memcmp(&place->host, host, sizeof *host))
            return place;
        if (!(place->span > 0) || place->until < oldest->until)
            oldest = place;
    }
    *oldest = (struct listen_host){.host = *host};
    return oldest;
}

static const struct in6_addr *leave_out(struct listen_watch *watch, const struct connection_list *list,
                                        double now)
{
    const struct connection *crowder =
        list->n_queued >= LISTEN_CROWD && list->listener >= 0 ? find_crowder(list) : NULL;
    if (!crowder)
        return NULL;
    struct in6_addr network = network_of(&crowder->peer.host);
    struct listen_host *place = place_of(watch, &network, now);
    if (place->span > 0 && place->until > now)
        return NULL; /* those that came before */
    place->span = fmin(place->span > 0 ? 2 * place->span : FIRST_SPAN_SECONDS, LISTEN_LEFT_OUT_MOST);
    place->until = now + place->span;
    return &place->host;
}

static int count_left_out(const struct listen_watch *watch, double now)
{
    int n = 0;
    for (int i = 0; i < LISTEN_HOSTS; i++)
        n += watch->hosts[i].span > 0 && watch->hosts[i].until > now;
    return n;
}

/* ---- who accepts ---- */

static bool any_new(const struct connection_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].is_new)
            return true;
    }
    return false;
}

static bool is_dead(struct listen_watch *watch, const struct connection_list *list, double now)
{
    bool stands = list->listener >= 0 && list->n_queued > 0 && !any_new(list);
    if (!stands)
        watch->stands_since = 0;
    else if (!(watch->stands_since > 0))
        watch->stands_since = now;
    return stands && now - watch->stands_since >= DEAD_SECONDS;
}

struct listen_news listen_watch_look(struct listen_watch *watch, const struct connection_list *list,
                                     double now)
{
    struct listen_news news = {.left_out = leave_out(watch, list, now)};
    int n = count_left_out(watch, now);
    if (list->listener >= 0 && (news.left_out || n != watch->n_filtered))
        set_filter(watch, list->listener, n, now);
    news.is_dead = is_dead(watch, list, now);
    if (news.is_dead)
        watch->stands_since = 0;
    return news;
}
