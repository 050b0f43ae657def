#ifndef MILLRACE_CLI_CHECK_VERIFY_H
#define MILLRACE_CLI_CHECK_VERIFY_H

/*
 * `millrace verify DIR [--ranks N,N...]`: holds this build against a directory of golden vectors, with each
 * number of ranks: the model, the solvers and the converter. Returns the exit status: 0 only if every check
 * of every file is right.
 */
int verify_main(int argc, char **argv);

#endif
