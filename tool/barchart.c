// SPDX-License-Identifier: LGPL-2.1-or-later
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "barchart.h"

/*
 * By what the environment says: the terminal shows UTF-8 also where this locale is
 * not installed, and a static program finds none.
 */
bool bar_has_blocks(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	size_t i;

	for (i = 0; i < 3; i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

void bar_text(double value, double most, unsigned int width, bool blocks, char text[BAR_TEXT_MAX])
{
	/* One to eight eighths of a character. */
	static const char *const block[] = { "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█" };
	unsigned int eighths = 0, i;

	if (value > 0 && most > 0) {
		eighths = lround(8 * width * log1p(value) / log1p(most));
		if (eighths > 8 * width)
			eighths = 8 * width;
	}
	*text = '\0';
	for (i = 0; i < eighths / 8; i++)
		text = stpcpy(text, blocks ? block[7] : "#");
	if (blocks && eighths % 8)
		strcpy(text, block[eighths % 8 - 1]);
	else if (!blocks && eighths % 8 >= 4)
		strcpy(text, "#");
}
