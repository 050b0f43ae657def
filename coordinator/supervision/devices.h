#ifndef MILLRACE_COORDINATOR_SUPERVISION_DEVICES_H
#define MILLRACE_COORDINATOR_SUPERVISION_DEVICES_H

/*
 * How many GPUs the replicas of this machine would have. The worker is asked (`millrace-worker --devices`),
 * since it alone knows CUDA; it counts those that CUDA_VISIBLE_DEVICES leaves. 0: they compute on the CPU, or
 * the worker gave no answer in time. Nobody is asked where the machine shows no NVIDIA device at all.
 */
int devices_count(const char *worker, const char *backend);

#endif
