/*
 * reader FILE: opens and reads FILE in a tight loop and writes down every content that differs from the one before:
 * "V SECONDS.MICROSECONDS BYTES\n" and the bytes; "M SECONDS.MICROSECONDS\n" when there was no file.
 * SIGTERM ends it; its last line is "E READS LONGEST_GAP_MICROSECONDS\n".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t over;
static char now[1 << 20], last[1 << 20];

static void
on_term(int sig)
{
	(void)sig;
	over = 1;
}

static long long
clock_us(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return tv.tv_sec * 1000000LL + tv.tv_usec;
}

/* The whole file in `now`; its length, or -1 when it can't be opened. */
static ssize_t
read_file(const char *path)
{
	ssize_t len = 0, n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	while ((n = read(fd, now + len, sizeof now - (size_t)len)) > 0)
		len += n;
	close(fd);
	return len;
}

int
main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_term };
	unsigned long long reads = 0;
	long long before = clock_us(), gap = 0;
	ssize_t had = -2;

	if (argc != 2)
		return 2;
	sigaction(SIGTERM, &sa, NULL);
	while (!over) {
		ssize_t len = read_file(argv[1]);
		long long at = clock_us();

		reads++;
		if (at - before > gap)
			gap = at - before;
		before = at;
		if (len == had && (len < 0 || memcmp(now, last, (size_t)len) == 0))
			continue;
		had = len;
		if (len < 0) {
			printf("M %lld.%06lld\n", at / 1000000, at % 1000000);
		} else {
			memcpy(last, now, (size_t)len);
			printf("V %lld.%06lld %zd\n", at / 1000000, at % 1000000, len);
			fwrite(now, 1, (size_t)len, stdout);
		}
		fflush(stdout);
	}
	printf("E %llu %lld\n", reads, gap);
	return fflush(stdout) != 0;
}
