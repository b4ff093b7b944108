// SPDX-License-Identifier: LGPL-2.1-or-later
/* barbuf-json PATH: read JSON, print the value at PATH (checks.0.text), "#" for how many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static json_t *step(json_t *at, const char *key)
{
	return json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10)) : json_object_get(at, key);
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *root, *at;
	char *key;

	if (argc != 2) {
		fputs("usage: barbuf-json PATH <JSON\n", stderr);
		return 2;
	}
	root = at = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		fprintf(stderr, "barbuf-json: line %d: %s\n", error.line, error.text);
		return 1;
	}
	while (at && (key = strsep(&argv[1], "."))) {
		if (!strcmp(key, "#")) {
			printf("%zu\n", json_is_array(at) ? json_array_size(at) : json_object_size(at));
			json_decref(root);
			return 0;
		}
		at = step(at, key);
	}
	if (json_is_string(at))
		puts(json_string_value(at));
	else if (at)
		json_dumpf(at, stdout, JSON_ENCODE_ANY | JSON_COMPACT), putchar('\n');
	json_decref(root);
	return !at;
}
