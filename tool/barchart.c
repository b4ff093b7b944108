// SPDX-License-Identifier: LGPL-2.1-or-later
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "barchart.h"

bool bar_has_blocks(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", NULL);
	bool has;

	if (!locale)
		return false;
	has = !strcmp(nl_langinfo_l(CODESET, locale), "UTF-8");
	freelocale(locale);
	return has;
}

void bar_text(double value, double most, bool blocks, char text[BAR_TEXT_MAX])
{
	/* One to eight eighths of a character. */
	static const char *const block[] = { "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█" };
	unsigned int eighths = 0, i;

	if (value > 0 && most > 0) {
		eighths = lround(8 * BAR_WIDTH * log1p(value) / log1p(most));
		if (eighths > 8 * BAR_WIDTH)
			eighths = 8 * BAR_WIDTH;
	}
	*text = '\0';
	for (i = 0; i < eighths / 8; i++)
		text = stpcpy(text, blocks ? block[7] : "#");
	if (blocks && eighths % 8)
		strcpy(text, block[eighths % 8 - 1]);
	else if (!blocks && eighths % 8 >= 4)
		strcpy(text, "#");
}
