#define _GNU_SOURCE
/* A custom runtime without a library: sockets and strings. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connected(void) {
    char host[64];
    int port;
    sscanf(getenv("AWS_LAMBDA_RUNTIME_API"), "%63[^:]:%d", host, &port);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(sock, (struct sockaddr *)&to, sizeof to)) exit(3);
    return sock;
}

static void all(int sock, const char *bytes, size_t count) {
    while (count) {
        ssize_t sent = write(sock, bytes, count);
        if (sent <= 0) exit(4);
        bytes += sent;
        count -= sent;
    }
}

/* The body of the answer; its head is left in `head`. */
static char *call(const char *method, const char *path, const char *more, const char *body, char *head, size_t room) {
    int sock = connected();
    char request[1024];
    size_t length = body ? strlen(body) : 0;
    int count = snprintf(request, sizeof request,
        "%s /2018-06-01/runtime/%s HTTP/1.1\r\nHost: api\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n",
        method, path, length, more);
    all(sock, request, count);
    if (length) all(sock, body, length);
    size_t size = 0, capacity = 1 << 16;
    char *answer = malloc(capacity + 1);
    ssize_t got;
    while ((got = read(sock, answer + size, capacity - size)) > 0) {
        size += got;
        if (size == capacity) answer = realloc(answer, (capacity *= 2) + 1);
    }
    close(sock);
    answer[size] = 0;
    char *end = strstr(answer, "\r\n\r\n");
    if (!end) exit(5);
    *end = 0;
    snprintf(head, room, "%s", answer);
    memmove(answer, end + 4, size - (end + 4 - answer) + 1);
    return answer;
}

int main(void) {
    static char head[8192], path[256], id[64];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (getenv("INIT") && !strcmp(getenv("INIT"), "fail")) {
        call("POST", "init/error", "Lambda-Runtime-Function-Error-Type: Runtime.NoInit\r\n",
             "{\"errorMessage\":\"no init\",\"errorType\":\"Runtime.NoInit\"}", head, sizeof head);
        return 1;
    }
    for (;;) {
        char *event = call("GET", "invocation/next", "", NULL, head, sizeof head);
        char *found = strcasestr(head, "Lambda-Runtime-Aws-Request-Id:");
        if (!found) return 6;
        sscanf(found + 30, " %63s", id);
        snprintf(path, sizeof path, "invocation/%s/response", id);
        const char *answer = "null", *more = "";
        char text[64];
        if (!strncmp(event, "{\"do\": \"echo\"", 13)) {
            event[strlen(event) - 1] = 0;
            answer = event + strlen("{\"do\": \"echo\", \"value\": ");
        } else if (strstr(event, "\"fail\"")) {
            snprintf(path, sizeof path, "invocation/%s/error", id);
            more = "Lambda-Runtime-Function-Error-Type: Function.Boom\r\n";
            answer = "{\"errorMessage\":\"boom\",\"errorType\":\"Function.Boom\"}";
        } else if (strstr(event, "\"exit\"")) {
            return 7;
        } else if (strstr(event, "\"sleep\"")) {
            sleep(60);
        } else if (!strncmp(event, "{\"do\": \"log\"", 12)) {
            event[strlen(event) - 2] = 0;
            puts(event + strlen("{\"do\": \"log\", \"text\": \""));
        } else if (strstr(event, "\"count\"")) {
            FILE *file = fopen("/tmp/count", "a");
            fputc('x', file);
            snprintf(text, sizeof text, "%ld", ftell(file));
            fclose(file);
            answer = text;
        }
        call("POST", path, more, answer, head, sizeof head);
        free(event);
    }
}
