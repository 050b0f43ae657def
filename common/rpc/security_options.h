#ifndef MILLRACE_COMMON_RPC_SECURITY_OPTIONS_H
#define MILLRACE_COMMON_RPC_SECURITY_OPTIONS_H

#include "common/options.h"
#include "common/rpc/client.h"

/* Rows for the option table of every program that calls a coordinator; `security` is a struct rpc_security.
 * After parsing: security_options_complete. */
#define SECURITY_OPTION_ROWS(security)                                                                      \
    {"tls-ca",                                                                                              \
     0,                                                                                                     \
     OPTION_TEXT,                                                                                           \
     "FILE",                                                                                                \
     "MILLRACE_TLS_CA",                                                                                     \
     NULL,                                                                                                  \
     0,                                                                                                     \
     0,                                                                                                     \
     "Use TLS: authorities, in PEM form, that vouch for the coordinator's certificate; `system`: this "     \
     "machine's.",                                                                                          \
     &(security).tls_ca,                                                                                    \
     NULL},                                                                                                 \
        {"tls-cert",                                                                                        \
         0,                                                                                                 \
         OPTION_TEXT,                                                                                       \
         "FILE",                                                                                            \
         "MILLRACE_TLS_CERT",                                                                               \
         NULL,                                                                                              \
         0,                                                                                                 \
         0,                                                                                                 \
         "With TLS: the certificate to show, in PEM form.",                                                 \
         &(security).tls_cert,                                                                              \
         NULL},                                                                                             \
        {"tls-key",                                                                                         \
         0,                                                                                                 \
         OPTION_TEXT,                                                                                       \
         "FILE",                                                                                            \
         "MILLRACE_TLS_KEY",                                                                                \
         NULL,                                                                                              \
         0,                                                                                                 \
         0,                                                                                                 \
         "Its private key, in PEM form.",                                                                   \
         &(security).tls_key,                                                                               \
         NULL},                                                                                             \
        {"tls-server-name",                                                                                 \
         0,                                                                                                 \
         OPTION_TEXT,                                                                                       \
         "NAME",                                                                                            \
         "MILLRACE_TLS_SERVER_NAME",                                                                        \
         NULL,                                                                                              \
         0,                                                                                                 \
         0,                                                                                                 \
         "With TLS: the name in the coordinator's certificate, where it is not the host of the address.",   \
         &(security).tls_server_name,                                                                       \
         NULL},                                                                                             \
        {"token-file",                                                                                      \
         0,                                                                                                 \
         OPTION_TEXT,                                                                                       \
         "FILE",                                                                                            \
         "MILLRACE_TOKEN_FILE",                                                                             \
         NULL,                                                                                              \
         0,                                                                                                 \
         0,                                                                                                 \
         "The token to show: the first line of FILE. The environment variable MILLRACE_TOKEN can hold the " \
         "token itself.",                                                                                   \
         &(security).token_file,                                                                            \
         NULL},                                                                                             \
    {                                                                                                       \
        "plaintext-token", 0, OPTION_FLAG, NULL, "MILLRACE_PLAINTEXT_TOKEN", NULL, 0, 0,                    \
            "Send the token to another machine without TLS too: everybody on the way can read it.",         \
            &(security).plaintext_token, NULL                                                               \
    }

/* Takes the token from the environment where no file is given. An option with an empty value counts as not
 * given.
 */
void security_options_complete(struct rpc_security *security);

#endif
