// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>
#include <string.h>

#include "gen.h"

const char *gen_kind_name(enum kind kind)
{
	static const char *const names[] = {
		[KIND_NONE] = "none",
		[KIND_DEVICE] = "device",
		[KIND_VFIO_DEVICE] = "vfio_device",
		[KIND_VFIO_BAR] = "vfio_bar",
		[KIND_FILE] = "file",
		[KIND_BUFFER] = "buffer",
		[KIND_VFIO_DEVICE_OR_BUFFER] = "vfio_device_or_buffer",
		[KIND_PID] = "pid",
		[KIND_USER] = "user",
		[KIND_GROUP] = "group",
		[KIND_CHOICE] = "choice",
	};

	return names[kind];
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*gen)(FILE *f);
	} kinds[] = { { "man", gen_man }, { "bash", gen_bash }, { "zsh", gen_zsh } };
	size_t i;

	for (i = 0; argc == 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!strcmp(argv[1], kinds[i].name)) {
			kinds[i].gen(stdout);
			return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
		}
	}
	fputs("usage: barbuf-gen man | bash | zsh\n", stderr);
	return 2;
}
