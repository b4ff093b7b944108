/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BARBUF_PEER_H
#define BARBUF_PEER_H

/* The way of barbuf_peer_pidfd() without SO_PEERPIDFD, which the tests take, too. */
int barbuf__peer_pidfd_of_pid(int sock);

#endif
