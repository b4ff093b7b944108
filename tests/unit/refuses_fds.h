/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In a header, as the checks are counted by the file that makes them. */
#ifndef BARBUF_TESTS_REFUSES_FDS_H
#define BARBUF_TESTS_REFUSES_FDS_H

#include <errno.h>
#include <time.h>

#include <barbuf.h>

#include "../linger.h"
#include "tap.h"

/*
 * A client cannot keep a server by a descriptor whose last close() takes seconds.
 * @listener: listens; @sock: a client of it, not accepted yet.
 */
static inline void check_refuses_fds(int listener, int sock)
{
	struct lingering slow = linger_open(4);
	struct timespec start, end;
	int accepted, ret;
	double took;

	/* Asked of the other end: this one must be as it is made. */
	if (slow.sock < 0 || barbuf_message_refuse_fds(sock) == -EOPNOTSUPP) {
		tap_skip("descriptors are refused", "no loopback, or a kernel before 6.16");
		return;
	}
	ret = barbuf_message_send(sock, "x", 1, slow.sock);
	CHECK(ret == -EPERM, "a client cannot send a descriptor: %d", ret);
	linger_close(&slow, !ret);
	CHECK(!barbuf_message_send(sock, "x", 1, -1), "but a message");
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	clock_gettime(CLOCK_MONOTONIC, &start);
	close(accepted);
	clock_gettime(CLOCK_MONOTONIC, &end);
	took = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9;
	CHECK(accepted >= 0 && took < 1, "it is let go of in %.2f s", took);
	close(slow.listener);
}

#endif
