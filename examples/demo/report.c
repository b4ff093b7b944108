// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "report.h"

/* An object's keys are taken one after the other; the first that is wrong is kept. */
struct reader {
	const json_t *object;
	const char *wrong;
};

static json_t *key(struct reader *r, const char *name)
{
	json_t *value = json_object_get(r->object, name);

	if (!value && !r->wrong)
		r->wrong = name;
	return value;
}

static double number(struct reader *r, const char *name)
{
	const json_t *value = key(r, name);

	if (value && (!json_is_number(value) || json_number_value(value) < 0) && !r->wrong)
		r->wrong = name;
	return json_number_value(value);
}

static uint64_t count(struct reader *r, const char *name)
{
	const json_t *value = key(r, name);

	if (value && (!json_is_integer(value) || json_integer_value(value) < 0) && !r->wrong)
		r->wrong = name;
	return json_integer_value(value);
}

/* Control characters would reach the terminal. */
static void word_of(struct reader *r, const json_t *value, const char *name, char word[REPORT_WORD])
{
	const char *text = json_string_value(value);
	size_t i, len;

	*word = '\0';
	if (!value)
		return;
	len = json_string_length(value);
	if (!text || len >= REPORT_WORD) {
		r->wrong = r->wrong ? r->wrong : name;
		return;
	}
	for (i = 0; i <= len; i++)
		word[i] = (unsigned char)text[i] < ' ' && i < len ? '?' : text[i];
}

static void word(struct reader *r, const char *name, char text[REPORT_WORD])
{
	word_of(r, key(r, name), name, text);
}

static double optional_number(struct reader *r, const char *name)
{
	const json_t *value = json_object_get(r->object, name);

	return !value || json_is_null(value) ? -1 : number(r, name);
}

static int optional_count(struct reader *r, const char *name)
{
	const json_t *value = json_object_get(r->object, name);

	return !value || json_is_null(value) ? -1 : (int)count(r, name);
}

static void optional_word(struct reader *r, const char *name, char text[REPORT_WORD])
{
	const json_t *value = json_object_get(r->object, name);

	word_of(r, json_is_null(value) ? NULL : value, name, text);
}

static json_t *load(const char *line, struct reader *r, const char **why)
{
	json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(root)) {
		json_decref(root);
		*why = "no JSON object";
		return NULL;
	}
	*r = (struct reader){ .object = root };
	return root;
}

static int done(json_t *root, const struct reader *r, const char **why)
{
	json_decref(root);
	*why = r->wrong;
	return r->wrong ? -EBADMSG : 0;
}

int report_parse(const char *line, struct report *out, const char **why)
{
	struct reader r;
	json_t *root = load(line, &r, why);

	if (!root)
		return -EBADMSG;
	*out = (struct report){
		.t = number(&r, "t"),
		.iops = number(&r, "iops"),
		.done = count(&r, "done"),
		.errors = count(&r, "errors"),
		.io_errors = count(&r, "io_errors"),
		.faults = count(&r, "faults"),
		.sigbus = count(&r, "sigbus"),
		.pauses = count(&r, "pauses"),
		.regrants = count(&r, "regrants"),
		.p50_us = number(&r, "p50_us"),
		.p99_us = number(&r, "p99_us"),
		.max_us = number(&r, "max_us"),
		.final = json_is_true(json_object_get(root, "final")),
	};
	word(&r, "state", out->state);
	if (out->final) {
		key(&r, "end");
		optional_word(&r, "end", out->end);
		optional_word(&r, "doorbell", out->doorbell);
	}
	return done(root, &r, why);
}

int event_parse(const char *line, struct event *out, const char **why)
{
	struct reader r;
	json_t *root = load(line, &r, why);

	if (!root)
		return -EBADMSG;
	*out = (struct event){
		.t = number(&r, "t"),
		.queue = optional_count(&r, "queue"),
		.pid = optional_count(&r, "pid"),
		.us = optional_number(&r, "us"),
		.queue_reset = json_is_true(json_object_get(root, "queue_reset")),
	};
	word(&r, "event", out->name);
	optional_word(&r, "why", out->why);
	optional_word(&r, "how", out->how);
	optional_word(&r, "what", out->what);
	optional_word(&r, "access", out->access);
	optional_word(&r, "on_trust", out->on_trust);
	return done(root, &r, why);
}

int attempt_parse(const char *line, struct attempt *out, const char **why)
{
	struct reader r;
	json_t *root = load(line, &r, why);

	if (!root)
		return -EBADMSG;
	*out = (struct attempt){ .what = "" };
	optional_word(&r, "say", out->say);
	if (!*out->say) {
		word(&r, "what", out->what);
		word(&r, "wanted", out->wanted);
		word(&r, "got", out->got);
	}
	return done(root, &r, why);
}

char *attempt_line(const struct attempt *a)
{
	json_t *root = *a->say ? json_pack("{s:s}", "say", a->say) :
				 json_pack("{s:s, s:s, s:s}", "what", a->what, "wanted", a->wanted,
					   "got", a->got);
	char *line = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return line;
}
