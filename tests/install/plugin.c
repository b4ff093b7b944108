// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A program that uses the library for a while, as a plugin does: what comes after
 * must find the handler of SIGBUS still there. It dies of the SIGBUS it raises.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void)
{
	const struct rlimit no_core = { 0, 0 };
	void *lib = dlopen("libbarbuf.so.0", RTLD_NOW | RTLD_LOCAL);
	int (*install)(void) = lib ? (int (*)(void))dlsym(lib, "barbuf_guard_install") : NULL;
	int fd = memfd_create("empty", MFD_CLOEXEC);
	volatile char *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);

	if (!install || install() || page == MAP_FAILED || setrlimit(RLIMIT_CORE, &no_core)) {
		perror("plugin");
		return 1;
	}
	dlclose(lib);
	return *page;
}
