/*
 * A Windows program with sockets: `listener.exe KIND...`, KIND being tcp4, tcp6, udp4, udp6, or connect:PORT.
 * For each it prints `KIND PID PORT HANDLE`. It ends when its standard input does.
 */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what)
{
    printf("FAILED %s: %d\n", what, WSAGetLastError());
    return 1;
}

int main(int argc, char **argv)
{
    WSADATA data;
    char rest[64];
    int i;

    if (WSAStartup(MAKEWORD(2, 2), &data))
        return fail("WSAStartup");
    for (i = 1; i < argc; i++) {
        struct sockaddr_in6 address;
        int is_connect = !strncmp(argv[i], "connect:", 8);
        int is_tcp = is_connect || !strncmp(argv[i], "tcp", 3);
        int is_v6 = !is_connect && argv[i][3] == '6';
        int length = is_v6 ? (int)sizeof address : (int)sizeof(struct sockaddr_in);
        SOCKET socket_ = socket(is_v6 ? AF_INET6 : AF_INET, is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0);

        memset(&address, 0, sizeof address);
        address.sin6_family = is_v6 ? AF_INET6 : AF_INET;
        if (is_v6)
            address.sin6_addr.s6_addr[15] = 1;
        else
            ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (socket_ == INVALID_SOCKET)
            return fail("socket");
        if (is_connect) {
            address.sin6_port = htons((unsigned short)atoi(argv[i] + 8));
            if (connect(socket_, (struct sockaddr *)&address, length))
                return fail("connect");
        } else if (bind(socket_, (struct sockaddr *)&address, length)) {
            return fail("bind");
        } else if (is_tcp && listen(socket_, 4)) {
            return fail("listen");
        }
        if (getsockname(socket_, (struct sockaddr *)&address, &length))
            return fail("getsockname");
        printf("%s %lu %u %lu\n", argv[i], GetCurrentProcessId(), ntohs(address.sin6_port), (unsigned long)socket_);
    }
    printf("ready\n");
    fflush(stdout);
    while (fgets(rest, sizeof rest, stdin))
        ;
    return 0;
}
