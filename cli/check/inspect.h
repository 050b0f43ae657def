#ifndef MILLRACE_CLI_CHECK_INSPECT_H
#define MILLRACE_CLI_CHECK_INSPECT_H

/*
 * `millrace inspect MODEL_DIR [--json] [--tensors] [--tp N]` opens a model as a worker does, with every
 * check, and says what is in it. For a checkpoint it says which networks can be converted. Returns the exit
 * code: 0 only for a model that can be served (or, without a tokenizer, benched), or a checkpoint that can be
 * read.
 */
int inspect_main(int argc, char **argv);

#endif
