/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BARBUF_LEASES_H
#define BARBUF_LEASES_H

#include <barbuf.h>

/* barbuf_leases_new() with another revoke than barbuf_buffer_revoke(): tests have no device. */
int barbuf__leases_new(struct barbuf_leases **out, int (*revoke)(struct barbuf_buffer *buf));

#endif
