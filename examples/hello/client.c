// SPDX-License-Identifier: MIT
#include <barbuf.h>

#include "hello.h"

int main(int argc, char **argv)
{
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	uint32_t value;
	int error;

	if (argc != 2)
		errx(2, "usage: %s SOCKET", argv[0]);
	must("guard", barbuf_guard_install());
	must("receive", barbuf_buffer_recv(connect_to(argv[1]), &buf));
	must("map", barbuf_map(&map, buf, NULL));
	must("read", barbuf_map_read32(map, 0, &value));
	printf("read 0x%08x, until it is taken back\n", value);
	while ((error = barbuf_map_read32(map, 0, &value)) == 0)
		usleep(1000);
	printf("%s, and still here\n", strerror(-error));
	return 0;
}
