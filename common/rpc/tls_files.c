#include "common/rpc/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file_read.h"

enum { FILE_BYTES_MAX = 1 << 20 };

/* The whole file as a string; what is behind a NUL does not count. */
static enum status read_text(const char *path, char **text, struct error *error)
{
    size_t size;
    return file_read(path, FILE_ANY, FILE_BYTES_MAX, text, &size, error);
}

/* ---- what is in them ---- */

static X509 *first_certificate(const char *text)
{
    BIO *source = BIO_new_mem_buf(text, -1);
    X509 *certificate = source ? PEM_read_bio_X509(source, NULL, NULL, NULL) : NULL;
    BIO_free(source);
    ERR_clear_error();
    return certificate;
}

/* OpenSSL would ask the terminal for a pass phrase. */
static int no_pass_phrase(char *buffer, int size, int writing, void *asked)
{
    (void)buffer, (void)size, (void)writing;
    *(int *)asked = 1;
    return -1;
}

static enum status read_key(const char *text, const char *path, EVP_PKEY **key, struct error *error)
{
    int asked = 0;
    BIO *source = BIO_new_mem_buf(text, -1);
    *key = source ? PEM_read_bio_PrivateKey(source, NULL, no_pass_phrase, &asked) : NULL;
    BIO_free(source);
    ERR_clear_error();
    if (*key)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED_PRECONDITION, "%s: %s", path,
                     asked ? "the key has a pass phrase; write it without (`openssl pkey -in KEY -out PLAIN`)"
                           : "there is no private key in PEM form in it");
}

static void format_date(const ASN1_TIME *time, char text[16])
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1 || !strftime(text, 16, "%Y-%m-%d", &parts))
        strcpy(text, "?");
}

static enum status check_dates(const X509 *certificate, const char *path, struct error *error)
{
    char date[16];
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        format_date(X509_get0_notAfter(certificate), date);
        return error_set(error, STATUS_FAILED_PRECONDITION, "%s: the certificate has expired on %s", path,
                         date);
    }
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
        format_date(X509_get0_notBefore(certificate), date);
        return error_set(error, STATUS_FAILED_PRECONDITION,
                         "%s: the certificate is valid only from %s on; is this machine's clock right?", path,
                         date);
    }
    return STATUS_OK;
}

static enum status check_certificate(const char *text, const char *path, X509 **certificate,
                                     struct error *error)
{
    *certificate = first_certificate(text);
    if (!*certificate)
        return error_set(error, STATUS_FAILED_PRECONDITION, "%s: there is no certificate in PEM form in it",
                         path);
    return check_dates(*certificate, path, error);
}

/* The certificate, its key, and that they belong together. */
static enum status check_pair(const struct tls_paths *paths, const struct tls_pem *pem, struct error *error)
{
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    enum status status = check_certificate(pem->certificate, paths->certificate, &certificate, error);
    if (status == STATUS_OK)
        status = read_key(pem->key, paths->key, &key, error);
    if (status == STATUS_OK && X509_check_private_key(certificate, key) != 1)
        status = error_set(error, STATUS_FAILED_PRECONDITION, "%s is not the key of the certificate in %s",
                           paths->key, paths->certificate);
    ERR_clear_error();
    EVP_PKEY_free(key);
    X509_free(certificate);
    return status;
}

static enum status read_pair(const struct tls_paths *paths, struct tls_pem *pem, struct error *error)
{
    if (!paths->certificate && !paths->key)
        return STATUS_OK;
    if (!paths->certificate || !paths->key)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "a certificate and its key go together: %s is missing",
                         paths->key ? "--tls-cert" : "--tls-key");
    enum status status = read_text(paths->certificate, &pem->certificate, error);
    if (status == STATUS_OK)
        status = read_text(paths->key, &pem->key, error);
    return status == STATUS_OK ? check_pair(paths, pem, error) : status;
}

static enum status read_authorities(const struct tls_paths *paths, struct tls_pem *pem, struct error *error)
{
    X509 *certificate = NULL;
    if (!paths->authorities)
        return STATUS_OK;
    enum status status = read_text(paths->authorities, &pem->authorities, error);
    if (status == STATUS_OK)
        status = check_certificate(pem->authorities, paths->authorities, &certificate, error);
    X509_free(certificate);
    return status;
}

enum status tls_pem_read(const struct tls_paths *paths, struct tls_pem *read, struct error *error)
{
    struct tls_pem pem = {0};
    enum status status = read_pair(paths, &pem, error);
    if (status == STATUS_OK)
        status = read_authorities(paths, &pem, error);
    if (status == STATUS_OK)
        *read = pem;
    else
        tls_pem_release(&pem);
    return status;
}

void tls_pem_release(struct tls_pem *pem)
{
    if (pem->key)
        OPENSSL_cleanse(pem->key, strlen(pem->key));
    free(pem->certificate);
    free(pem->key);
    free(pem->authorities);
    *pem = (struct tls_pem){0};
}

void tls_pem_describe(const char *text, char *out, size_t size)
{
    char name[128] = "", date[16] = "?";
    X509 *certificate = text ? first_certificate(text) : NULL;
    if (certificate) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
        format_date(X509_get0_notAfter(certificate), date);
    }
    snprintf(out, size, "CN=%s, valid until %s", name, date);
    X509_free(certificate);
}
