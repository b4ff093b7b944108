// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <barbuf.h>

#include "plain_user.h"
#include "lend.h"

/* No answer takes longer, even from an emulator with every debug option on. */
#define ANSWER_TIMEOUT_S 120

/* In the child: keep the socket and stderr, give everything else up. Returns a step's name. */
static const char *give_up(int sock)
{
	int null;

	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return "/dev/null";
	/* dup2() onto itself would leave close-on-exec set. */
	if (sock == CLIENT_SOCKET ? fcntl(sock, F_SETFD, 0) < 0 : dup2(sock, CLIENT_SOCKET) < 0)
		return "dup2";
	if (close_range(CLIENT_SOCKET + 1, ~0U, 0))
		return "close_range";

	return become_plain_user(PLAIN_USER_NOBODY);
}

static _Noreturn void become_client(const char *name, int sock)
{
	/* A client pins the little memory it has, to count faults exactly. */
	struct rlimit memlock = { .rlim_cur = 64 << 20, .rlim_max = 64 << 20 };
	const char *step;

	setrlimit(RLIMIT_MEMLOCK, &memlock);
	step = give_up(sock);
	if (!step) {
		execl("/proc/self/exe", "barbuf-demo-edu", "--client", (char *)NULL);
		step = "exec of /proc/self/exe (is the program executable for everybody?)";
	}
	fprintf(stderr, "barbuf-demo-edu: %s: %s: %s\n", name, step, strerror(errno));
	_exit(1);
}

int peer_start(struct peer *p, const char *name)
{
	struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
	int socks[2];
	int ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	if (setsockopt(socks[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout))) {
		ret = -errno;
		goto err;
	}
	/* The answers have none. A kernel before 6.16 lets them come all the same. */
	barbuf_message_refuse_fds(socks[0]);
	p->pid = fork();
	if (p->pid < 0) {
		ret = -errno;
		goto err;
	}
	if (!p->pid)
		become_client(name, socks[1]);
	close(socks[1]);
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->sock = socks[0];
	return 0;

err:
	p->pid = 0;
	close(socks[0]);
	close(socks[1]);
	return ret;
}

int peer_ask(struct peer *p, enum op op, uint64_t value, int fd, struct reply *reply)
{
	struct request request = { .op = op, .value = value };
	size_t len;
	int ret;

	memset(reply, 0, sizeof(*reply));
	ret = barbuf_message_send(p->sock, &request, sizeof(request), fd);
	if (!ret)
		ret = barbuf_message_recv(p->sock, reply, sizeof(*reply), &len, NULL);
	if (!ret && len != sizeof(*reply))
		ret = -EBADMSG;
	reply->detail[sizeof(reply->detail) - 1] = '\0';
	return ret;
}

int peer_end(struct peer *p)
{
	int status = 0;
	int tries;
	pid_t pid;

	if (!p->pid)
		return -ECHILD;
	/* A client leaves when its socket closes. */
	close(p->sock);
	for (tries = 0; tries < 500; tries++) {
		struct timespec ms10 = { .tv_nsec = 10000000 };

		pid = waitpid(p->pid, &status, WNOHANG);
		if (pid)
			break;
		nanosleep(&ms10, NULL);
	}
	if (!pid) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, &status, 0);
	}
	p->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}
