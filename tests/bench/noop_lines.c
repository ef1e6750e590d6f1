/* The fastest lines program that is still honest: it finds the id of each task and says done. For benchmarks of everything else. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ID 26
#define HEAD "{\"task\":\""

static char in[1 << 20], out[1 << 20];

static int write_all(const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, data, len);
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t have = 0, said = 0;
	ssize_t n;
	said = (size_t)snprintf(out, sizeof out, "{\"hello\":1,\"max\":%s}\n", argc > 1 ? argv[1] : "1");
	if (write_all(out, said) < 0)
		return 1;
	while ((n = read(STDIN_FILENO, in + have, sizeof in - have)) > 0) {
		char *at = in, *end;
		have += (size_t)n;
		said = 0;
		while ((end = memchr(at, '\n', (size_t)(in + have - at)))) {
			if (end - at > (ptrdiff_t)(sizeof HEAD - 1 + ID) && memcmp(at, HEAD, sizeof HEAD - 1) == 0) {
				if (said + 64 > sizeof out) {
					if (write_all(out, said) < 0)
						return 1;
					said = 0;
				}
				memcpy(out + said, "{\"done\":\"", 9);
				memcpy(out + said + 9, at + sizeof HEAD - 1, ID);
				memcpy(out + said + 9 + ID, "\"}\n", 3);
				said += 9 + ID + 3;
			}
			at = end + 1;
		}
		have = (size_t)(in + have - at);
		memmove(in, at, have);
		if (write_all(out, said) < 0)
			return 1;
	}
	return 0;
}
