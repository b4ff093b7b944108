// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plain_user.h"
#include "proc.h"

#define STEP_MS 50
/* One that never stops talking does not stop the others. */
#define READS_AT_ONCE 64
/* A process that was killed ends at once, if the kernel is alive. */
#define KILL_SECONDS 10.0

static struct proc *procs[PROCS_MAX];
static void (*on_idle)(void);

void procs_idle(void (*idle)(void))
{
	on_idle = idle;
}

static struct proc **free_place(void)
{
	size_t i;

	for (i = 0; i < PROCS_MAX; i++)
		if (!procs[i])
			return &procs[i];
	return NULL;
}

/* The folders of a build are siblings: examples/demo, examples/blkd... */
static bool find_program(const char *name, char *path, size_t size)
{
	static const char *const siblings[] = { "blkd", "blkcat" };
	const char *dir, *end;
	char self[2048];
	ssize_t len;
	size_t i;

	if (strchr(name, '/'))
		return snprintf(path, size, "%s", name) < (int)size;
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[len < 0 ? 0 : len] = '\0';
	for (i = 0; i < sizeof(siblings) / sizeof(siblings[0]) && strrchr(self, '/'); i++) {
		snprintf(path, size, "%.*s/../%s/%s", (int)(strrchr(self, '/') - self), self,
			 siblings[i], name);
		if (!access(path, X_OK))
			return true;
	}
	for (dir = getenv("PATH"); dir && *dir; dir = *end ? end + 1 : end) {
		end = strchrnul(dir, ':');
		snprintf(path, size, "%.*s/%s", (int)(end - dir), dir, name);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static const char *become(uid_t uid, int out, int err)
{
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(err, STDERR_FILENO) < 0)
		return "dup2";
	if (uid) {
		const char *step = become_plain_user(uid);

		if (step)
			return step;
	}
	/* Behind the change of user, which forgets it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		return "PR_SET_PDEATHSIG";
	return NULL;
}

static _Noreturn void run(struct proc *p, pid_t parent, uid_t uid, const char *path, int out,
			  int err, char *const argv[])
{
	/* Before rights are given up: a plain user may not get as far as the file. */
	int program = open(path, O_PATH | O_CLOEXEC);
	const char *step = become(uid, out, err);

	if (!step) {
		if (getppid() != parent)
			_exit(126); /* it ended before we asked to be told */
		/* A script finds itself by its path. */
		if (uid)
			execveat(program, "", argv, environ, AT_EMPTY_PATH);
		else
			execv(path, argv);
		step = path;
	}
	dprintf(STDERR_FILENO, "%s: %s: %s\n", p->name, step, strerror(errno));
	_exit(126);
}

static void close_pipe(int fds[2])
{
	if (fds[0] >= 0)
		close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
}

int proc_start(struct proc *p, uid_t uid, char *const argv[])
{
	int out[2] = { -1, -1 }, err[2] = { -1, -1 };
	struct proc **place = free_place();
	pid_t parent = getpid();
	char path[4096];
	int ret;

	if (!place)
		return -EAGAIN;
	if (!find_program(argv[0], path, sizeof(path)))
		return -ENOENT;
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || fcntl(out[0], F_SETFL, O_NONBLOCK) ||
	    fcntl(err[0], F_SETFL, O_NONBLOCK))
		goto fail;
	fflush(stdout);
	p->pid = fork();
	if (p->pid < 0)
		goto fail;
	if (!p->pid)
		run(p, parent, uid, path, out[1], err[1], argv);
	close(out[1]);
	close(err[1]);
	p->out = (struct stream){ .fd = out[0] };
	p->err = (struct stream){ .fd = err[0] };
	p->ended = false;
	p->status = 0;
	*place = p;
	return 0;

fail:
	ret = -errno;
	p->pid = 0;
	close_pipe(out);
	close_pipe(err);
	return ret;
}

bool proc_exited(const struct proc *p, int status)
{
	return p->ended && WIFEXITED(p->status) && WEXITSTATUS(p->status) == status;
}

const char *proc_end_text(const struct proc *p, char text[64])
{
	if (!p->ended)
		snprintf(text, 64, p->pid ? "still running" : "not started");
	else if (WIFSIGNALED(p->status))
		snprintf(text, 64, "killed by %s", strsignal(WTERMSIG(p->status)));
	else
		snprintf(text, 64, "exit status %d", WEXITSTATUS(p->status));
	return text;
}

void proc_signal(const struct proc *p, int sig)
{
	/* Not reaped yet, so the pid is no other's. */
	if (p->pid)
		kill(p->pid, sig);
}

/* Whole lines are told; one that fills the buffer is told as far as it is known. */
static void take_lines(struct proc *p, struct stream *s,
		       void (*line)(struct proc *p, const char *line), bool all)
{
	char *begin = s->text, *end;

	s->text[s->len] = '\0';
	while ((end = strchr(begin, '\n'))) {
		*end = '\0';
		if (line)
			line(p, begin);
		begin = end + 1;
	}
	s->len -= begin - s->text;
	if (s->len && (all || (begin == s->text && s->len == sizeof(s->text) - 1))) {
		if (line)
			line(p, begin);
		s->len = 0;
	}
	memmove(s->text, begin, s->len);
}

static void listen_to(struct proc *p, struct stream *s,
		      void (*line)(struct proc *p, const char *line))
{
	unsigned int left = READS_AT_ONCE;
	ssize_t n;

	while (s->fd >= 0 && left--) {
		n = read(s->fd, s->text + s->len, sizeof(s->text) - 1 - s->len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			take_lines(p, s, line, true);
			close(s->fd);
			s->fd = -1;
			return;
		}
		/* A NUL would hide what follows. */
		for (char *c = s->text + s->len; c < s->text + s->len + n; c++)
			if (!*c)
				*c = '?';
		s->len += n;
		take_lines(p, s, line, false);
	}
}

static void hang_up(struct proc *p, struct stream *s,
		    void (*line)(struct proc *p, const char *line))
{
	listen_to(p, s, line);
	if (s->fd < 0)
		return;
	/* A child of its own may still hold it. */
	take_lines(p, s, line, true);
	close(s->fd);
	s->fd = -1;
}

static void look_at(struct proc **place)
{
	struct proc *p = *place;
	pid_t pid;

	listen_to(p, &p->out, p->line);
	listen_to(p, &p->err, p->complains);
	pid = waitpid(p->pid, &p->status, WNOHANG);
	if (!pid || (pid < 0 && errno == EINTR))
		return;
	/* What it said last came before it ended. */
	hang_up(p, &p->out, p->line);
	hang_up(p, &p->err, p->complains);
	p->ended = true;
	p->pid = 0;
	*place = NULL;
}

void procs_step(void)
{
	struct pollfd fds[2 * PROCS_MAX];
	nfds_t nr = 0;
	size_t i;

	for (i = 0; i < PROCS_MAX; i++) {
		if (!procs[i])
			continue;
		/* poll() passes over what is below 0. */
		fds[nr++] = (struct pollfd){ .fd = procs[i]->out.fd, .events = POLLIN };
		fds[nr++] = (struct pollfd){ .fd = procs[i]->err.fd, .events = POLLIN };
	}
	poll(fds, nr, STEP_MS);
	for (i = 0; i < PROCS_MAX; i++)
		if (procs[i])
			look_at(&procs[i]);
	if (on_idle)
		on_idle();
}

static bool any_runs(void)
{
	size_t i;

	for (i = 0; i < PROCS_MAX; i++)
		if (procs[i])
			return true;
	return false;
}

bool procs_end(void)
{
	size_t i;

	for (i = 0; i < PROCS_MAX; i++)
		if (procs[i])
			proc_signal(procs[i], SIGKILL);
	return UNTIL(!any_runs(), KILL_SECONDS);
}
