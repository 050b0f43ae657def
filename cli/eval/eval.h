#ifndef MILLRACE_CLI_EVAL_EVAL_H
#define MILLRACE_CLI_EVAL_EVAL_H

/* `millrace eval`: returns the exit code. */
int eval_main(int argc, char **argv);

#endif
