#ifndef MILLRACE_COMMON_NEAREST_H
#define MILLRACE_COMMON_NEAREST_H

/*
 * "Did you mean ...?": the name that is the fewest edits away from what was typed (insert, delete, replace,
 * swap two neighbours: the optimal string alignment distance). NULL when even the best is too far off to be
 * what was meant: more than a third of the longer word.
 */
int edit_distance(const char *a, const char *b);

/* Keeps the better of two proposals: call once per candidate, starting from best = NULL. */
const char *nearer_name(const char *typed, const char *best, const char *candidate);

#endif
