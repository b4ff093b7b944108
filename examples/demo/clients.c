// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients.h"
#include "screen.h"

/* Requests in flight; milliseconds between two reports. */
#define DEPTH "16"
#define PERIOD "250"

#define ARGS_MAX 24

static void on_report(struct proc *proc, const char *line)
{
	struct demo_client *c = proc->arg;
	struct row *row = &c->row;
	double now = timeline_now();
	struct report r;
	const char *why;

	if (report_parse(line, &r, &why)) {
		claim(row->name, false, "prints a report that is none (%s): %s", why, line);
		return;
	}
	c->now = r;
	row->errors = c->errors + r.errors;
	row->faults = r.faults;
	if (r.final) {
		row->iops = -1;
		snprintf(c->how, sizeof(c->how), "%s", *r.end ? r.end : "done");
		client_state(c, c->how, ROW_DONE);
		return;
	}
	row->iops = r.iops;
	if (c->reports++)
		history_add(&row->history, c->heard, now, r.iops);
	c->heard = now;
	c->running |= r.done > 0 && !strcmp(r.state, "running");
	if (r.max_us > c->worst_us)
		c->worst_us = r.max_us;
	client_state(c, r.state, strcmp(r.state, "running") ? ROW_WAITING : ROW_GOOD);
}

static void on_complaint(struct proc *proc, const char *line)
{
	struct demo_client *c = proc->arg;

	say(c->row.name, "%s", line);
}

void client_init(struct demo_client *c, const char *name, uid_t uid, int queue)
{
	*c = (struct demo_client){
		.uid = uid,
		.queue = queue,
		.row = { .queue = queue, .iops = -1, .state = "-" },
	};
	snprintf(c->row.name, sizeof(c->row.name), "%s", name);
	history_init(&c->row.history);
	screen_add(&c->row);
}

bool client_start(struct demo_client *c, const char *socket, char *const *options)
{
	char queue[16];
	char *argv[ARGS_MAX] = {
		(char *)"blkload",  (char *)socket, (char *)"--json",  (char *)"--confine",
		(char *)"--queue",  queue,	    (char *)"--depth", (char *)DEPTH,
		(char *)"--period", (char *)PERIOD,
	};
	unsigned int n = 10;
	int ret;

	c->done += c->now.done;
	c->errors += c->now.errors;
	c->io_errors += c->now.io_errors;
	c->sigbus += c->now.sigbus;
	c->now = (struct report){ .t = 0 };
	c->reports = 0;
	c->running = false;
	c->worst_us = 0;
	*c->how = '\0';
	c->proc = (struct proc){
		.name = c->row.name,
		.line = on_report,
		.complains = on_complaint,
		.arg = c,
	};
	snprintf(queue, sizeof(queue), "%d", c->queue);
	while (*options && n < ARGS_MAX - 1)
		argv[n++] = *options++;
	ret = proc_start(&c->proc, c->uid, argv);
	if (ret)
		return claim(c->row.name, false, "cannot be started: %s", strerror(-ret));
	client_state(c, "starting", ROW_WAITING);
	return true;
}

void client_mark(struct demo_client *c, char mark)
{
	history_mark(&c->row.history, timeline_now(), mark);
}

void client_state(struct demo_client *c, const char *state, int mood)
{
	snprintf(c->row.state, sizeof(c->row.state), "%.*s", (int)sizeof(c->row.state) - 1, state);
	c->row.mood = mood;
	if (!c->proc.pid)
		c->row.iops = -1;
}

uint64_t client_done(const struct demo_client *c)
{
	return c->done + c->now.done;
}

uint64_t client_errors(const struct demo_client *c)
{
	return c->errors + c->now.errors;
}

static void check_status(const struct demo_client *c, char wrong[REPORT_WORD])
{
	char want[9][64], line[256], path[32];
	unsigned int nr = 0, seen = 0, i;
	FILE *f;

	snprintf(want[nr++], 64, "Uid:\t%u\t%u\t%u\t%u\n", c->uid, c->uid, c->uid, c->uid);
	snprintf(want[nr++], 64, "Gid:\t%u\t%u\t%u\t%u\n", c->uid, c->uid, c->uid, c->uid);
	strcpy(want[nr++], "CapInh:\t0000000000000000\n");
	strcpy(want[nr++], "CapPrm:\t0000000000000000\n");
	strcpy(want[nr++], "CapEff:\t0000000000000000\n");
	strcpy(want[nr++], "CapBnd:\t0000000000000000\n");
	strcpy(want[nr++], "CapAmb:\t0000000000000000\n");
	strcpy(want[nr++], "NoNewPrivs:\t1\n");
	strcpy(want[nr++], "Seccomp:\t2\n"); /* a filter */
	snprintf(path, sizeof(path), "/proc/%d/status", c->proc.pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		for (i = 0; i < nr; i++)
			seen |= (unsigned int)!strcmp(line, want[i]) << i;
	if (f)
		fclose(f);
	for (i = 0; i < nr; i++)
		if (!(seen & 1u << i))
			snprintf(wrong, REPORT_WORD, "it has not %.*s", (int)strcspn(want[i], "\n"),
				 want[i]);
}

/* No descriptor of VFIO, iommufd or the device; a DMABUF's name has none of these words. */
static void check_fds(const struct demo_client *c, char wrong[REPORT_WORD])
{
	static const char *const words[] = { "vfio", "iommu", "/sys/", "/dev/mem" };
	unsigned int nr = 0, i;
	struct dirent *entry;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", c->proc.pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char target[256];
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (len < 0)
			continue;
		target[len] = '\0';
		nr++;
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strstr(target, words[i]))
				snprintf(wrong, REPORT_WORD, "it has %.80s open", target);
	}
	if (dir)
		closedir(dir);
	if (!nr)
		snprintf(wrong, REPORT_WORD, "its descriptors cannot be read");
}

bool client_is_confined(const struct demo_client *c, char wrong[REPORT_WORD])
{
	*wrong = '\0';
	if (!c->proc.pid)
		snprintf(wrong, REPORT_WORD, "it does not run");
	else
		check_status(c, wrong);
	if (!*wrong)
		check_fds(c, wrong);
	return !*wrong;
}
