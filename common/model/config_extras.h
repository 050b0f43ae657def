#ifndef MILLRACE_COMMON_MODEL_CONFIG_EXTRAS_H
#define MILLRACE_COMMON_MODEL_CONFIG_EXTRAS_H

#include <jansson.h>

#include "common/model/config.h"

/*
 * Keys of config.json that only some networks have:
 *
 *   "time_conditioning": false    MDLM, UDLM: the network is told time 0 always
 *   "scale_by_sigma": true        SEDD
 *   "classes": 0                  UDLM
 *   "adaln": true                 BD3-LM: blocks are modulated by the time
 *   "block_size": 16              BD3-LM
 *   "p_uniform": 0.2, "t_eps": 0.0001   GIDD
 *   "time_grid": [0, 0.1, 1]      all of these, may be absent: the time at the end of each part of the steps
 *
 * A network has all of its keys, and no other network's.
 */

/* Whether a network of that architecture has the key. */
bool config_extra_is_known(enum architecture architecture, const char *key);

/* Reads the keys of config->architecture's network. INVALID_ARGUMENT names the key. */
enum status config_extras_read(json_t *object, struct model_config *config, struct error *error);

/* Checks the values; for a config that was made in memory, too. */
enum status config_extras_check(const struct model_config *config, struct error *error);

/* Adds the keys to the object. False without memory. */
bool config_extras_write(json_t *object, const struct model_config *config);

#endif
