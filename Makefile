# SPDX-License-Identifier: GPL-2.0-only
# The commands of this repository; `make help` lists them. Each target installs
# the Debian packages it needs, as root or through sudo.

.DEFAULT_GOAL := help
.PHONY: help demo check check-debug check-controls check-lab watch-examples static bench \
	build san modules debug-kernel update clean distclean

# User space is compiled by the host; kernel code has a compiler of its own,
# in the lab.
MESON := LC_ALL=C.UTF-8 meson

help: ## this list
	@echo 'make TARGET'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r t d; do printf '  %-16s %s\n' "$$t" "$$d"; done
	@echo
	@echo 'lab/run -- COMMAND boots the guest and runs a command in it: lab/run --help'
	@echo 'KERNEL_VERSION=... chooses a kernel; lab/kernel versions lists them.'

demo: build ## a primary lends parts of two BARs to clients, in a guest
	@lab/run --kernel barbuf -- barbuf-demo

check: build san ## unit tests with sanitizers, kernel tests in the barbuf guest
	@tests/check barbuf

check-debug: build san ## the same in the debug guest, and KUnit
	@tests/check debug

check-controls: build ## each defect put back on purpose makes its test fail
	@tests/controls/run

check-lab: ## the lab's own tests
	@lab/test/run

watch-examples: build ## the examples of docs/observability.md print what is written there
	@tests/observability/run

static: ## checkpatch --strict, sparse and W=1 on the kernel code
	@lab/kernel static

bench: ## stock and barbuf measured in one boot; BENCH=--json, or other options
	@$(MAKE) --no-print-directory build >&2
	@bench/run $(BENCH)

build: build/guest/build.ninja ## user space, static, for the guest
	@ninja -C build/guest $(quiet)

san: build/san/build.ninja ## user space with ASan and UBSan, for the unit tests
	@ninja -C build/san $(quiet)

# ninja shows its progress on a terminal, and in a pipe only what went wrong.
quiet := $(shell test -t 1 || echo "--quiet")

build/guest/build.ninja:
	@lab/deps user && mkdir -p build
	@$(MESON) setup build/guest -Dguest=true --werror >build/guest.log 2>&1 || { cat build/guest.log >&2; exit 1; }

build/san/build.ninja:
	@lab/deps user && mkdir -p build
	@$(MESON) setup build/san -Db_sanitize=address,undefined --werror >build/san.log 2>&1 || { cat build/san.log >&2; exit 1; }

modules: ## the replacement modules of Debian's kernel
	@lab/kernel modules

debug-kernel: ## the kernel with KASAN, lockdep and the rest
	@lab/kernel debug

update: ## look for a newer 7.3.x now
	@lab/kernel update

clean: ## remove build/; the cache stays
	rm -rf build

distclean: clean ## remove also the cache of kernels and the build chroot
	@lab/kernel forget
