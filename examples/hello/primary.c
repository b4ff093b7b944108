// SPDX-License-Identifier: MIT
#include <barbuf.h>

#include "hello.h"

int main(int argc, char **argv)
{
	struct barbuf_range page = { .offset = 0, .length = 4096 };
	struct barbuf_export lent = { .bar = 0, .ranges = &page, .nr_ranges = 1 };
	struct barbuf_device *dev;
	struct barbuf_buffer *buf;

	if (argc != 3)
		errx(2, "usage: %s ADDRESS SOCKET", argv[0]);
	must("open", barbuf_device_open(&dev, NULL, argv[1]));
	must("export", barbuf_buffer_export(&buf, dev, &lent));
	must("send", barbuf_buffer_send(accept_one(argv[2]), buf, 0));
	sleep(1);
	must("revoke", barbuf_buffer_revoke(buf));
	return 0;
}
