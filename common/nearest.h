#ifndef MILLRACE_COMMON_NEAREST_H
#define MILLRACE_COMMON_NEAREST_H

/*
 * "Did you mean ...?": finds the name that is the fewest edits away from the word that was typed. An edit
 * inserts, deletes or replaces a letter, or swaps two neighbours (the optimal string alignment distance).
 * NULL: even the best name needs edits for more than a third of the longer word, so it was not meant.
 */
int edit_distance(const char *a, const char *b);

/* Keeps the better of two proposals: call once per candidate, starting from best = NULL. */
const char *nearer_name(const char *typed, const char *best, const char *candidate);

#endif
