// SPDX-License-Identifier: LGPL-2.1-or-later
#include <barbuf.h>

const char *barbuf_version(void)
{
	return BARBUF_VERSION;
}
