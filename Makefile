# SPDX-License-Identifier: GPL-2.0-only
# The commands of this repository; `make help` lists them. Each target installs
# the Debian packages it needs, as root or through sudo.

.DEFAULT_GOAL := help
.PHONY: help demo demo-edu check check-iommufd check-debug check-attacker check-arm64 check-controls check-lab soak watch-examples static bench \
	build san release install uninstall modules debug-kernel update clean distclean

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

demo: build ## four clients share one disk; one is killed, one is revoked, one breaks in vain
	@examples/demo/run

demo-edu: build ## a primary lends parts of two BARs to clients
	@lab/run --kernel barbuf -- barbuf-demo-edu

check: build san release ## unit tests with sanitizers, kernel tests in the barbuf guest
	@tests/check barbuf $(SUITES)

check-iommufd: build san release ## the same in the iommufd guest: the cdev and iommufd on Debian's kernel; SUITES=...: a part
	@tests/check iommufd $(SUITES)

check-debug: build san release ## the same in the debug guest, and KUnit; SUITES=...: a part of it
	@tests/check debug $(SUITES)

check-attacker: build ## what a client with one buffer's fd tries, on the debug kernel; an hour and more
	@lab/run --kernel debug --timeout 14400 -- barbuf-tests --require-feature attacker

soak: build ## the block driver under load for SOAK=20m in the debug guest, with a kill, revoke or reset each second
	@tests/soak

check-arm64: build/arm64/build.ninja ## the library for arm64, its unit tests in user emulation
	@tests/check-arm64

check-controls: build ## each defect put back on purpose makes its test fail
	@tests/controls/run

check-lab: ## the lab's own tests
	@lab/test/run

watch-examples: build ## the examples of docs/observability.md and docs/cli.md print what is written there
	@tests/examples/run docs/observability.md
	@tests/examples/run docs/cli.md

static: ## checkpatch --strict, sparse and W=1 on the kernel code
	@lab/kernel static

bench: ## stock and barbuf measured in one boot; BENCH=--json, or other options
	@$(MAKE) --no-print-directory build >&2
	@bench/run $(BENCH)

build: build/guest/build.ninja ## user space, static, for the guest
	@$(call ninja,build/guest)

san: build/san/build.ninja ## user space with ASan and UBSan, for the unit tests
	@$(call ninja,build/san)

# The directory remembers its PREFIX; one that is given and differs is taken over.
release: build/release/build.ninja ## what is installed: library, man pages, tool
	@$(if $(PREFIX),test "$$(cat build/release/prefix)" = '$(PREFIX)' || \
		{ $(MESON) configure build/release --prefix='$(PREFIX)' >/dev/null && echo '$(PREFIX)' >build/release/prefix; })
	@$(call ninja,build/release)

# Under sudo nothing is built: the files would be root's.
install: $(if $(SUDO_UID),,release) ## DESTDIR=... PREFIX=/usr: install it; sudo: what make release has built
	@ninja -C build/release -n 2>/dev/null | grep -q 'no work to do' || \
		{ echo 'make: build/release is not up to date: run make release first, as yourself' >&2; exit 1; }
	@$(MESON) install -C build/release --no-rebuild --quiet $(if $(DESTDIR),--destdir '$(abspath $(DESTDIR))')

uninstall: ## remove what the last make install has put there
	@ninja -C build/release --quiet uninstall

# ninja shows its progress on a terminal, and in a pipe only what went wrong. The recipe looks: the
# standard output of $(shell ...) is never make's.
ninja = if test -t 1; then ninja -C $(1); else ninja -C $(1) --quiet; fi

build/guest/build.ninja:
	@lab/deps user && mkdir -p build
	@$(MESON) setup build/guest -Ddefault_library=static -Dguest=true --werror >build/guest.log 2>&1 || { cat build/guest.log >&2; exit 1; }

build/san/build.ninja:
	@lab/deps user && mkdir -p build
	@$(MESON) setup build/san -Ddefault_library=static -Db_sanitize=address,undefined --werror >build/san.log 2>&1 || { cat build/san.log >&2; exit 1; }

build/arm64/build.ninja:
	@lab/deps user arm64 && mkdir -p build
	@$(MESON) setup build/arm64 -Ddefault_library=static --cross-file tests/cross/aarch64.ini --werror \
		>build/arm64.log 2>&1 || { cat build/arm64.log >&2; exit 1; }

# Debian's compiler flags with all of its hardening, as a package would be built.
flags = $$(DEB_BUILD_MAINT_OPTIONS=hardening=+all dpkg-buildflags --export=cmdline)
build/release/build.ninja:
	@lab/deps user && mkdir -p build
	@eval env "$(flags)" '$(MESON) setup build/release --buildtype=plain --werror --prefix=$(or $(PREFIX),/usr)' \
		>build/release.log 2>&1 || { cat build/release.log >&2; exit 1; }
	@echo '$(or $(PREFIX),/usr)' >build/release/prefix

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
