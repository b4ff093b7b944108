// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "open.h"

bool looks_like_bar(const char *text)
{
	return strpbrk(text, ":/");
}

int open_bar(const struct call *c, const char *text, struct open_bar *b)
{
	const char *address = b->function.address;
	char advice[512];
	int status;
	int ret;

	if (arg_bar(c, "ADDRESS/BAR", text, &b->function, &b->index, &status))
		return status;
	ret = barbuf_device_open(&b->dev, NULL, address);
	if (ret && !barbuf_device_advice(address, ret, advice, sizeof(advice)))
		return failed(c, "%s: %s: %s", address, strerror(-ret), advice);
	if (ret)
		return failed(c, "%s: %s", address, strerror(-ret));
	ret = barbuf_device_get_region(b->dev, b->index, &b->region);
	if (!ret)
		return -1;
	barbuf_device_close(b->dev);
	return failed(c, "%s: BAR %u: %s", address, b->index, strerror(-ret));
}
