#ifndef MILLRACE_COORDINATOR_SUPERVISION_LAUNCH_ENVIRONMENT_H
#define MILLRACE_COORDINATOR_SUPERVISION_LAUNCH_ENVIRONMENT_H

/*
 * The environment of a replica that is started here: our own, without what tells a client of ours how to call
 * (the replica comes by the private line: gate.h) and without our ready file, with its token, and with what
 * mpirun wants to run as root. A token in the environment is seen by the same user alone; on a command line
 * everybody would see it.
 *
 * Made before fork, where memory may be allocated. `token`: NULL for none. NULL without memory.
 */
char **launch_environment_create(const char *token);
void launch_environment_free(char **environment);

#endif
