#!/bin/sh
# Certificates for tests. usage: certificates.sh DIRECTORY (empty). Makes NAME.pem and NAME.key for:
#   ca other-ca            two authorities; all below are signed by ca unless said
#   server second          localhost and 127.0.0.1; second is also second.test
#   elsewhere              a server by the name of elsewhere.test alone
#   expired                as server, until yesterday
#   anna replica           clients; replica is also the DNS name replica-7.cluster
#   stranger               a client of other-ca
# and locked.key: server's key with a pass phrase.
set -eu
cd "$1"
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.pem" -days 30 \
        -subj "/CN=test $1" 2>/dev/null
}
# signed NAME AUTHORITY DAYS ALTERNATIVE_NAMES
signed() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2>/dev/null
    printf 'subjectAltName=%s\n' "$4" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days "$3" -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm "$1.csr" "$1.ext"
}
authority ca
authority other-ca
signed server ca 30 DNS:localhost,IP:127.0.0.1
signed second ca 30 DNS:localhost,IP:127.0.0.1,DNS:second.test
signed elsewhere ca 30 DNS:elsewhere.test
signed expired ca -1 DNS:localhost,IP:127.0.0.1
signed anna ca 30 DNS:anna.clients
signed replica ca 30 DNS:replica-7.cluster
signed stranger other-ca 30 DNS:anna.clients
openssl pkey -in server.key -aes128 -passout pass:secret -out locked.key
