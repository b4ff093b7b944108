// SPDX-License-Identifier: MIT
/*
 * A part of an NVMe controller's memory buffer (CMB), lent: a client fills it through
 * a write-combining mapping, and the primary takes it back and reads it.
 */
#include <err.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nvme_cmb.h"

#define NOBODY 65534
#define NEEDS (BARBUF_HAS_EXPORT | BARBUF_HAS_MMAP | BARBUF_HAS_REVOKE)

static void must(const char *what, int error)
{
	if (error < 0) {
		errno = -error;
		err(EXIT_FAILURE, "%s", what);
	}
}

/* The client: it has one end of a socket, and no right to open a device. */
static int client(int sock)
{
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	uint64_t at, word;

	if (geteuid() == 0 && (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
			       setresuid(NOBODY, NOBODY, NOBODY)))
		err(EXIT_FAILURE, "client: become user %d", NOBODY);
	if (barbuf_buffer_recv(sock, &buf))
		return EXIT_FAILURE; /* the primary has said why */
	must("client: map", barbuf_map(&map, buf, NULL));
	for (at = 0; at < barbuf_map_length(map); at += 8)
		must("client: fill", barbuf_map_write64(map, at, barbuf_buffer_tag(buf) + at));
	/* Out of the CPU's write-combining buffers; a read comes back behind it all. */
	barbuf_wc_flush();
	must("client: read", barbuf_map_read64(map, 0, &word));
	printf("client: user %d filled %" PRIu64 " bytes, mapped %s\n", geteuid(), at,
	       barbuf_buffer_memattr(buf) == BARBUF_WC ? "write-combining" : "uncached");
	fflush(stdout);
	must("client: tell", barbuf_message_send(sock, NULL, 0, -1));
	while (!barbuf_map_write64(map, 0, word))
		usleep(1000);
	printf("client: %s, and still here\n", strerror(EIO));
	return EXIT_SUCCESS;
}

static struct barbuf_map *map_part(struct barbuf_device *dev, uint32_t bar, uint64_t offset,
				   uint64_t length)
{
	struct barbuf_map_options o = { .offset = offset, .length = length };
	struct barbuf_map *map;

	must("map a BAR", barbuf_map_bar(&map, dev, bar, &o));
	return map;
}

/* Which part of the CMB: as the command line has it, or its first 64 KiB. */
static struct barbuf_range choose(const char *text, uint64_t size)
{
	struct barbuf_range part = { 0, size < 65536 ? size : 65536 }, *parsed;
	const char *bad;
	size_t nr;

	if (!text)
		return part;
	if (barbuf_ranges_parse(text, &parsed, &nr, &bad) || nr != 1)
		errx(2, "PART '%s' is not one OFFSET:LENGTH, such as 64K:4K", text);
	part = *parsed;
	free(parsed);
	if ((part.offset | part.length) % getpagesize() || !part.length)
		errx(2, "PART '%s' is not one or more whole pages of %d bytes", text,
		     getpagesize());
	if (part.length > size || part.offset > size - part.length)
		errx(2, "PART '%s' ends past the end of the CMB, which has %" PRIu64 " bytes", text,
		     size);
	return part;
}

static int primary(int sock, const char *address, const char *part_text)
{
	struct barbuf_export lent = { .memattr = BARBUF_WC, .nr_ranges = 1, .name = "cmb" };
	uint64_t seed = time(NULL) * 0x9e3779b97f4a7c15, word, at, told, wrong = 0;
	struct barbuf_range cmb, part;
	struct barbuf_region bar;
	struct barbuf_device *dev;
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	uint32_t class, features;
	char advice[256];
	size_t len;
	int ret;

	ret = barbuf_device_open(&dev, NULL, address);
	if (ret && barbuf_device_advice(address, ret, advice, sizeof(advice)))
		errx(EXIT_FAILURE, "%s: %s", address, strerror(-ret));
	if (ret)
		errx(EXIT_FAILURE, "%s: %s: %s", address, strerror(-ret), advice);
	must("read the class", barbuf_config_read(dev, 8, &class, sizeof(class)));
	if (class >> 8 != NVME_CLASS)
		errx(EXIT_FAILURE, "%s: class 0x%06x is not NVMe's, 0x%06x", address, class >> 8,
		     NVME_CLASS);
	must("probe", barbuf_device_probe(dev, &features));
	if ((features & NEEDS) != NEEDS)
		errx(EXIT_FAILURE, "this kernel cannot %s part of a BAR: it lacks barbuf's modules",
		     !(features & BARBUF_HAS_EXPORT) ? "export a" :
		     !(features & BARBUF_HAS_MMAP)   ? "map an exported" :
						       "take back an exported");

	ret = nvme_cmb_find(map_part(dev, 0, 0, getpagesize()), &lent.bar, &cmb);
	if (ret)
		errx(EXIT_FAILURE, "%s: %s", address,
		     ret == -ENOENT ? "this controller has no CMB" : "it does not answer");
	must("look at the CMB's BAR", barbuf_device_get_region(dev, lent.bar, &bar));
	told = cmb.length;
	ret = nvme_cmb_fit(&cmb, bar.size);
	if (ret < 0)
		errx(EXIT_FAILURE,
		     "%s: its CMB, %" PRIu64 " bytes at %" PRIu64
		     ", is not inside BAR %u, which has %" PRIu64,
		     address, cmb.length, cmb.offset, lent.bar, bar.size);
	if (ret)
		printf("primary: of a CMB of %" PRIu64 " KiB only what is inside BAR %u is there\n",
		       told >> 10, lent.bar);
	part = choose(part_text, cmb.length);
	printf("primary: %s has %" PRIu64 " KiB of CMB in BAR %u, and lends %" PRIu64 " at %" PRIu64
	       "\n",
	       address, cmb.length >> 10, lent.bar, part.length, part.offset);
	part.offset += cmb.offset;
	lent.ranges = &part;

	ret = barbuf_buffer_export(&buf, dev, &lent);
	if (ret == -EOPNOTSUPP) {
		puts("primary: this kernel has no write-combining for it; it is lent uncached");
		lent.memattr = BARBUF_NC;
		ret = barbuf_buffer_export(&buf, dev, &lent);
	}
	must("export", ret);
	must("send", barbuf_buffer_send(sock, buf, seed));
	must("wait for the client", barbuf_message_recv(sock, NULL, 0, &len, NULL));

	/* Taken back first: then nobody changes what is read. */
	must("revoke", barbuf_buffer_revoke(buf));
	map = map_part(dev, lent.bar, part.offset, part.length);
	for (at = 0; at < part.length; at += 8) {
		must("read", barbuf_map_read64(map, at, &word));
		wrong += word != seed + at;
	}
	printf("primary: took it back and read %" PRIu64 " words, %" PRIu64 " wrong\n", at / 8,
	       wrong);
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int sock[2], status, ret;
	pid_t pid;

	if (argc < 2 || argc > 3)
		errx(2, "usage: %s ADDRESS [OFFSET:LENGTH]", argv[0]);
	setlinebuf(stdout);
	must("guard", barbuf_guard_install());
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock))
		err(EXIT_FAILURE, "socketpair");
	/* Forked before the device is opened: nothing of it is in the client. */
	pid = fork();
	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	close(sock[pid ? 1 : 0]);
	if (pid == 0)
		return client(sock[1]);
	ret = primary(sock[0], argv[1], argc > 2 ? argv[2] : NULL);
	if (waitpid(pid, &status, 0) < 0 || status)
		errx(EXIT_FAILURE, "the client failed");
	return ret;
}
