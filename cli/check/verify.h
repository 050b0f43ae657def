#ifndef MILLRACE_CLI_CHECK_VERIFY_H
#define MILLRACE_CLI_CHECK_VERIFY_H

/*
 * `millrace verify DIR [--ranks N,N...]` compares this build with a directory of golden vectors, for each
 * number of ranks: the model, the solvers and the converter. Returns the exit code: 0 only if every check of
 * every file is right.
 */
int verify_main(int argc, char **argv);

#endif
