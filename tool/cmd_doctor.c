// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "out.h"

static const char *const result_names[NR_RESULTS] = { "ok", "warn", "fail" };

void doctor_say(struct doctor *d, enum result result, const char *check, const char *remedy,
		const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->count[result]++;
	json_array_append_new(d->checks,
			      json_pack("{s:s, s:s, s:o, s:o}", "result", result_names[result], "check",
					check, "text", out_string(text), "remedy",
					remedy ? out_string(remedy) : json_null()));
}

static void print_lines(const struct doctor *d)
{
	static const char *const colours[NR_RESULTS] = { COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED };
	bool colour = out_has_colour(stdout);
	json_t *row;
	size_t i;

	json_array_foreach(d->checks, i, row)
	{
		const char *result = json_string_value(json_object_get(row, "result"));
		const char *remedy = json_string_value(json_object_get(row, "remedy"));
		char text[1024];
		size_t k = 0;

		while (strcmp(result, result_names[k]))
			k++;
		out_clean(json_string_value(json_object_get(row, "text")), text, sizeof(text));
		printf("%s%-4s%s  %-20s  %s\n", colour ? colours[k] : "", result, colour ? COLOUR_OFF : "",
		       json_string_value(json_object_get(row, "check")), text);
		if (remedy) {
			out_clean(remedy, text, sizeof(text));
			printf("%28s%s\n", "", text);
		}
	}
	printf("\n%u ok, %u warn, %u fail\n", d->count[CHECK_OK], d->count[CHECK_WARN],
	       d->count[CHECK_FAIL]);
}

static int print(const struct call *c, const struct doctor *d)
{
	static const struct column columns[] = {
		{ .key = "result" },
		{ .key = "check" },
		{ .key = "text" },
		{ .key = "remedy" },
	};

	if (c->json)
		return out_object(c, json_pack("{s:O, s:i, s:i, s:i}", "checks", d->checks, "ok",
					       (int)d->count[CHECK_OK], "warn",
					       (int)d->count[CHECK_WARN], "fail",
					       (int)d->count[CHECK_FAIL]));
	if (!out_is_terminal(stdout))
		return out_table(c, "checks", columns, sizeof(columns) / sizeof(columns[0]),
				 json_incref(d->checks));
	print_lines(d);
	return EXIT_SUCCESS;
}

int cmd_doctor(struct call *c)
{
	struct doctor d = { .root = c->root, .checks = json_array() };
	struct pci_function f;
	bool has_device = call_arg(c, 0);
	int status;

	if (has_device && arg_function(c, "ADDRESS", call_arg(c, 0), &f, &status)) {
		json_decref(d.checks);
		return status;
	}
	doctor_machine(&d);
	if (has_device)
		doctor_device(&d, &f);
	status = print(c, &d);
	json_decref(d.checks);
	return status ? status : d.count[CHECK_FAIL] ? EXIT_FAILURE : EXIT_SUCCESS;
}
