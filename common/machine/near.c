#include "common/machine/near.h"

#include <hwloc.h>
#include <stdio.h>

static hwloc_topology_t open_topology(const char *xml)
{
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) != 0)
        return NULL;
    hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if ((xml == NULL || hwloc_topology_set_xml(topology, xml) == 0) && hwloc_topology_load(topology) == 0)
        return topology;
    hwloc_topology_destroy(topology);
    return NULL;
}

/* Leaves in `set` what the process may use. */
static void keep_usable(hwloc_topology_t topology, const char *allowed, hwloc_bitmap_t set)
{
    hwloc_bitmap_t usable = hwloc_bitmap_alloc();
    bool known = usable && (allowed ? hwloc_bitmap_list_sscanf(usable, allowed) == 0
                                    : hwloc_topology_is_thissystem(topology) &&
                                          hwloc_get_cpubind(topology, usable, HWLOC_CPUBIND_PROCESS) == 0);
    if (known)
        hwloc_bitmap_and(set, set, usable);
    hwloc_bitmap_free(usable);
}

static void read_near(hwloc_topology_t topology, hwloc_obj_t device, const char *allowed,
                      struct nearness *nearness)
{
    hwloc_obj_t place = hwloc_get_non_io_ancestor_obj(topology, device);
    hwloc_bitmap_t set = place && place->cpuset ? hwloc_bitmap_dup(place->cpuset) : NULL;
    if (!set)
        return;
    if (place->nodeset && hwloc_bitmap_weight(place->nodeset) == 1)
        nearness->node = hwloc_bitmap_first(place->nodeset);
    keep_usable(topology, allowed, set);
    nearness->n_processors = hwloc_bitmap_weight(set);
    hwloc_bitmap_list_snprintf(nearness->list, sizeof nearness->list, set);
    hwloc_bitmap_free(set);
}

void near_read(const struct near_source *source, const char *bus_id, struct nearness *nearness)
{
    *nearness = (struct nearness){.node = -1};
    hwloc_topology_t topology = open_topology(source->xml);
    if (!topology)
        return;
    hwloc_obj_t device = hwloc_get_pcidev_by_busidstring(topology, bus_id);
    if (device)
        read_near(topology, device, source->allowed, nearness);
    hwloc_topology_destroy(topology);
}

bool near_stay(const struct nearness *nearness)
{
    hwloc_topology_t topology;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    bool bound = true;
    if (nearness->n_processors > 0 && set && hwloc_bitmap_list_sscanf(set, nearness->list) == 0 &&
        hwloc_topology_init(&topology) == 0) {
        bound = hwloc_topology_load(topology) == 0 &&
                hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) == 0;
        hwloc_topology_destroy(topology);
    }
    hwloc_bitmap_free(set);
    return bound;
}
