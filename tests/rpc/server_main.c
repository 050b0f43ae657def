/* The test service as a program, for clients in other languages: prints its address, and ends with its
 * standard input. */
#include <stdio.h>
#include <unistd.h>

#include "tests/rpc/service.h"

int main(void)
{
    struct test_service service;
    char byte;
    test_service_open(&service, NULL);
    health_set(service.health, true);
    printf("%s\n", rpc_server_address(service.server));
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    test_service_close(&service, 1);
    return 0;
}
