/* A store that is not the bottleneck: copies what it receives into a buffer and forgets it, and serves ranges of one
 * file by sendfile. One thread a connection, all on one processor. `sink FILE` prints its port. For benchmarks only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 16384
#define WINDOW (1 << 20)

static int source = -1;
static long long source_size;

static int write_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0) return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static const char *header(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    return found ? found + strlen(name) : NULL;
}

static int receive(int fd, long long left, char *window) {
    while (left > 0) {
        ssize_t n = recv(fd, window, left < WINDOW ? (size_t)left : WINDOW, 0);
        if (n <= 0) return -1;
        left -= n;
    }
    static const char reply[] = "HTTP/1.1 200 OK\r\nETag: \"0\"\r\nContent-Length: 0\r\n\r\n";
    return write_all(fd, reply, sizeof reply - 1);
}

static int serve(int fd, const char *range) {
    long long first = 0, last = source_size - 1;
    if (range) sscanf(range, "%lld-%lld", &first, &last);
    char head[256];
    int size = snprintf(head, sizeof head,
                        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %lld-%lld/%lld\r\nContent-Length: %lld\r\n\r\n",
                        first, last, source_size, last - first + 1);
    if (write_all(fd, head, (size_t)size)) return -1;
    off_t at = first;
    while (at <= last)
        if (sendfile(fd, source, &at, (size_t)(last - at + 1)) <= 0) return -1;
    return 0;
}

static void *talk(void *argument) {
    int fd = (int)(long)argument;
    char head[HEAD + 1], *window = malloc(WINDOW);
    size_t have = 0;
    while (window) {
        head[have] = 0;
        char *end = strstr(head, "\r\n\r\n");
        if (!end) {
            ssize_t n = have < HEAD ? recv(fd, head + have, HEAD - have, 0) : -1;
            if (n <= 0) break;
            have += (size_t)n;
            continue;
        }
        *end = 0;
        size_t used = (size_t)(end + 4 - head);
        if (strncmp(head, "PUT ", 4) == 0) {
            const char *length = header(head, "\r\ncontent-length:");
            long long left = length ? atoll(length) : 0;
            long long extra = (long long)(have - used) < left ? (long long)(have - used) : left;
            used += (size_t)extra;
            if (receive(fd, left - extra, window)) break;
        } else if (serve(fd, header(head, "\r\nrange: bytes="))) {
            break;
        }
        memmove(head, head + used, have - used);
        have -= used;
    }
    free(window);
    close(fd);
    return NULL;
}

int main(int count, char **words) {
    struct stat status;
    if (count != 2 || (source = open(words[1], O_RDONLY)) < 0 || fstat(source, &status)) {
        fprintf(stderr, "usage: sink FILE\n");
        return 2;
    }
    source_size = status.st_size;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof one, &one);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(server, (struct sockaddr *)&address, size) || listen(server, 64) ||
        getsockname(server, (struct sockaddr *)&address, &size)) {
        perror("sink");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(server, NULL, NULL);
        if (fd < 0) continue;
        pthread_t thread;
        if (pthread_create(&thread, NULL, talk, (void *)(long)fd)) close(fd);
        else pthread_detach(thread);
    }
}
