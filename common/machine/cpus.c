#include "common/machine/cpus.h"

#include <hwloc.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

static int affinity_size(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* Only what is asked for below: all of it, with devices and distances, takes four times as long. */
static void leave_out_the_rest(hwloc_topology_t topology)
{
    hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_L2CACHE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING |
                                           HWLOC_TOPOLOGY_FLAG_NO_DISTANCES |
                                           HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS);
}

/* Leaves in `set` what the process is bound to; a topology that is not this machine's has no bindings. */
static void keep_bound(hwloc_topology_t topology, hwloc_bitmap_t set)
{
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    if (hwloc_topology_is_thissystem(topology) && bound &&
        hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_THREAD) == 0 && hwloc_bitmap_intersects(set, bound))
        hwloc_bitmap_and(set, set, bound);
    hwloc_bitmap_free(bound);
}

static int count_in(hwloc_topology_t topology, hwloc_const_bitmap_t set, hwloc_obj_type_t type)
{
    int n = 0;
    for (hwloc_obj_t one = NULL; (one = hwloc_get_next_obj_by_type(topology, type, one));)
        n += hwloc_bitmap_intersects(one->cpuset, set);
    return n;
}

/* The least share, where cores differ. */
static size_t cache_share(hwloc_topology_t topology, hwloc_const_bitmap_t set)
{
    size_t least = 0;
    for (hwloc_obj_t one = NULL; (one = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_L2CACHE, one));) {
        int n_sharing = count_in(topology, one->cpuset, HWLOC_OBJ_CORE);
        size_t share = one->attr->cache.size / (size_t)(n_sharing > 0 ? n_sharing : 1);
        if (hwloc_bitmap_intersects(one->cpuset, set) && share > 0 && (least == 0 || share < least))
            least = share;
    }
    return least;
}

static void read_topology(hwloc_topology_t topology, struct cpus *cpus)
{
    hwloc_bitmap_t set = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology));
    if (!set)
        return;
    keep_bound(topology, set);
    int n_cores = count_in(topology, set, HWLOC_OBJ_CORE);
    cpus->n_hardware_threads = hwloc_bitmap_weight(set);
    cpus->n_cores = n_cores > 0 ? n_cores : cpus->n_hardware_threads;
    size_t share = cache_share(topology, set);
    if (share > 0)
        cpus->cache_bytes = share;
    hwloc_bitmap_free(set);
}

void cpus_read(const struct cpus_source *source, struct cpus *cpus)
{
    hwloc_topology_t topology;
    int n = affinity_size();
    long cache_bytes = sysconf(_SC_LEVEL2_CACHE_SIZE); /* glibc asks the processor itself, on some */
    *cpus = (struct cpus){.n_hardware_threads = n, .n_cores = n};
    cpus->cache_bytes = cache_bytes > 0 ? (size_t)cache_bytes : 0;
    cpus->quota = control_groups_cpu_quota(&source->groups);
    if (hwloc_topology_init(&topology) != 0)
        return;
    leave_out_the_rest(topology);
    if ((!source->synthetic || hwloc_topology_set_synthetic(topology, source->synthetic) == 0) &&
        hwloc_topology_load(topology) == 0)
        read_topology(topology, cpus);
    hwloc_topology_destroy(topology);
}

static struct cpus here;

static void read_here(void)
{
    cpus_read(&(struct cpus_source){.groups = control_groups_here}, &here);
}

const struct cpus *cpus_here(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_here);
    return &here;
}

int cpus_for_computing(const struct cpus *cpus)
{
    if (cpus->quota >= cpus->n_cores)
        return cpus->n_cores;
    return cpus->quota < 1 ? 1 : (int)cpus->quota;
}
