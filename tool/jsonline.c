// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jsonline.h"
#include "out.h"

int out_line(const struct call *c, json_t *object)
{
	json_t *root =
		json_pack("{s:i, s:s}", "version", OUT_JSON_VERSION, "command", c->cmd->name);
	int ret = EXIT_SUCCESS;

	if (!object || !root || json_object_update(root, object) ||
	    json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(OUT_JSON_DIGITS)))
		ret = failed(c, "%s", strerror(ENOMEM));
	else if (putchar('\n') == EOF || fflush(stdout))
		ret = EXIT_FAILURE;
	json_decref(object);
	json_decref(root);
	return ret;
}
