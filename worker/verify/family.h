#ifndef MILLRACE_WORKER_VERIFY_FAMILY_H
#define MILLRACE_WORKER_VERIFY_FAMILY_H

#include "worker/model/model.h"
#include "worker/model/moves.h"
#include "worker/verify/checks.h"
#include "worker/verify/golden.h"
#include "worker/verify/verify.h"

/*
 * Golden vectors of the published families (MDLM, SEDD, Duo, UDLM, GIDD, BD3-LM): results of their authors'
 * own code. Their manifest.json names a "family". Models lie beside it as directories, as they are published.
 * Files of torch are converted before, by `millrace verify`, into golden->converted.
 */

/* Checks all of the directory; the counterpart of verify_run's loop. */
enum status verify_family(const struct golden *golden, const struct verify_options *options,
                          struct report *report, struct error *error);

/*
 * Opens a model of the manifest, or a converted one, on all ranks: for batches of so many texts of at most so
 * many positions. NOT_FOUND: it is one that must be converted, and was not.
 */
enum status family_model_open(const struct golden *golden, const char *model, int n_texts, int length,
                              struct model *opened, struct error *error);

/* A text that goes through the model. */
struct family_text {
    const double *ids; /* [length] */
    int length;
    float time; /* that the network is told */
    int class;  /* -1: of none */
};

/* The logits [all positions, n_ids] of n texts in one pass, the same on all ranks; malloc'ed. */
enum status family_logits(struct model *model, const struct family_text *texts, int n, float **logits,
                          struct error *error);

/* What became of each position of one text in a pass of the engine's own, by these laws and uniforms
 * [length]: sampled[length] is the model's, until the next pass. Positions that are not needed have token -1.
 */
struct family_draw {
    struct row_law law[2]; /* of the mask, and of others */
    const bool *needed;
    const double *u_jump, *u_draw;
};
enum status family_sample(struct model *model, const struct family_text *text, const struct family_draw *draw,
                          struct sampled *sampled, struct error *error);

/* ---- laws on the host, in double precision, from recorded or computed logits ---- */

/* p[n_ids] = softmax of the logits, without the token `left_out` (-1: none). Returns ln of the sum of exp. */
double family_softmax(const float *logits, int n_ids, int left_out, double *p);

/* law[n_ids]: of the token that a position holds next, when it holds x now. */
void family_law(const struct row_law *law, const double *p, double log_total, int n_ids, int x, double *next);

/* The token in which the running sum of law passes u times its total; negative entries count as 0. */
int family_pick(const double *law, int n_ids, double u);
int family_likeliest(const double *p, int n_ids);

/* The checks; see checks.h. */
golden_check check_family_forward, check_family_law, check_family_draws, check_family_trajectory;

/* The manifest's entry of a file without its prefix and its ".safetensors". Borrowed. */
const json_t *family_entry(const struct golden *golden, const char *section, const char *file,
                           const char *prefix);
const char *family_text_of(const json_t *entry, const char *key);
double family_number(const json_t *entry, const char *key, double otherwise);

#endif
