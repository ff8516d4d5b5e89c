/* Looks names up as a program of C does: linked with musl, with musl's resolver. */
#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void end(int signal) { _exit(0); }

int main(int argc, char **argv) {
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list, *a;
	char text[NI_MAXHOST];
	int failed;

	if (argc < 3) {
		signal(SIGTERM, end);
		for (;;)
			pause();
	}
	if (strcmp(argv[1], "addr") == 0)
		hints.ai_flags = AI_NUMERICHOST;
	if ((failed = getaddrinfo(argv[2], NULL, &hints, &list))) {
		printf("error: %s\n", gai_strerror(failed));
		return 0;
	}
	for (a = list; a; a = a->ai_next) {
		int flags = hints.ai_flags ? NI_NAMEREQD : NI_NUMERICHOST;
		if ((failed = getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, flags)))
			snprintf(text, sizeof text, "error: %s", gai_strerror(failed));
		puts(text);
	}
	return 0;
}
