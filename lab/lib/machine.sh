# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# One run of a guest: its kernel, its QEMU, what comes out of it.

# machine_prepare FLAVOUR: sets machine_vmlinuz and image.
machine_prepare() {
	local version

	mkdir -p "$lab_build" || lab_die "cannot create $lab_build"
	version=$(supply_version) || exit
	# One lab builds in a checkout at a time; the guests then run side by side.
	exec {machine_lock}>"$lab_build/lock"
	flock -n "$machine_lock" || {
		lab_step "waiting for another build in this checkout"
		flock "$machine_lock"
	}
	case $1 in
	stock)
		supply_stock "$version"
		extra_ready "$version"
		image_ready stock "$version" "$version-$(extra_key)"
		;;
	barbuf | iommufd)
		supply_stock "$version"
		modules_ready "$version"
		extra_ready "$version"
		image_ready "$1" "$version" "$modules_key-$(extra_key)"
		;;
	debug | pud)
		debug_ready "$version"
		image_ready "$1" "$version" "$debug_key"
		;;
	esac
	machine_vmlinuz=$lab_cache/kernel/$version/stock/usr/lib/modules/$version-amd64/vmlinuz
	lab_slow "$1" && machine_vmlinuz=$debug_out/vmlinuz
	# The next build may replace the files while this guest starts.
	machine_dir=$(mktemp -d "${TMPDIR:-/tmp}/lab.XXXXXXXX") && machine_dir=$(cd "$machine_dir" && pwd -P) ||
		lab_die "cannot make a directory in ${TMPDIR:-/tmp} (disk full?)"
	trap machine_cleanup EXIT
	cp "$image" "$machine_dir/initrd" && ln -f "$machine_vmlinuz" "$machine_dir/vmlinuz" 2>/dev/null ||
		cp "$machine_vmlinuz" "$machine_dir/vmlinuz" ||
		lab_die "cannot write $machine_dir (disk full?)"
	exec {machine_lock}>&-
}

machine_cleanup() {
	[[ ${machine_qemu:-} ]] && kill -KILL "$machine_qemu" 2>/dev/null
	[[ ${machine_keep:-} ]] || rm -rf "$machine_dir"
}

# machine_quote WORD: for the guest's shell, whatever bytes it holds.
machine_quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# machine_guest_files COMMAND...: what init reads, appended to the initramfs;
# sets machine_mounts for QEMU.
machine_guest_files() {
	local run=$machine_dir/guest/lab/run word dir path= n=0

	mkdir -p "$run"
	mv "$machine_dir/devices" "$run/devices"
	{
		printf 'exec'
		for word in "$@"; do printf ' %s' "$(machine_quote "$word")"; done
		printf '\n'
	} >"$run/command"

	machine_mounts=()
	: >"$run/mounts"
	if [[ -d $lab_top/build/guest ]]; then
		machine_mount "$lab_top/build/guest" build /build "$run/mounts"
		while IFS= read -r dir; do
			path+=/build${dir#"$lab_top/build/guest"}:
		done < <(find "$lab_top/build/guest" -type f -perm -u+x ! -name '*.so*' -printf '%h\n' | sort -u)
	fi
	for dir in "${shares[@]}"; do
		machine_mount "$dir" "share$n" "/share/${dir##*/}" "$run/mounts"
		n=$((n + 1))
	done
	{
		printf 'export PATH=%s"$PATH"\n' "$(machine_quote "$path")"
		printf 'export LAB_KERNEL=%s\n' "$kernel"
	} >"$run/env"
	(cd "$machine_dir/guest" && find . | cpio -o -H newc --quiet -R 0:0) >>"$machine_dir/initrd" ||
		lab_die "cannot write $machine_dir (disk full?)"
}

# machine_mount DIR TAG TARGET SCRIPT. QEMU wants a comma doubled, and would give
# the next free slot, which may be one that the topology names.
machine_mount() {
	local slot

	printf -v slot %x $((16 + ${#machine_mounts[@]} / 4))
	machine_mounts+=(
		-fsdev "local,id=$2,path=${1//,/,,},security_model=none,readonly=on,multidevs=remap"
		-device "virtio-9p-pci,fsdev=$2,mount_tag=$2,addr=$slot"
	)
	printf 'share %s %s\n' "$2" "$(machine_quote "$3")" >>"$4"
}

machine_qemu_args() {
	local append='console=ttyS0 ignore_loglevel panic=-1 intel_iommu=on iommu=nopt sysrq_always_enabled=1 printk.time=1 random.trust_cpu=on'
	# One host thread for all processors: with one each, QEMU 7.2 now and then
	# loses an interrupt of a busy processor, and the guest freezes.
	local accel=tcg,thread=single

	# Emulated processors share the host's: what looks like a stall to the
	# kernel may be a neighbour's build.
	append+=' rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 tsc=reliable'
	# Nor does a timer that is late mean broken interrupts: the kernel would panic.
	append+=' no_timer_check'
	# QEMU's TCG now and then loses a one-shot interrupt of a busy host's second
	# local APIC timer; that processor then idles for ever. A periodic one comes
	# again. Counting instructions there is one processor, and no such loss.
	[[ $icount ]] || append+=' highres=off nohz=off'
	# The lab scans for leaks at the end, and has no time for a third opinion.
	append+=' kmemleak.min_unref_scans=1'
	# SLUB's per-CPU arrays keep stale pointers to objects they gave out, which
	# kmemleak takes for references: caches with checks have no such arrays.
	lab_slow "$kernel" && append+=' slab_debug=F'
	machine_args=(
		-nodefaults -no-user-config -display none -no-reboot
		# The guest has the monitor, which could start programs here.
		-sandbox on,spawn=deny
		-M q35,kernel-irqchip=split -cpu max -accel "$accel" -smp "$smp" -m "$mem"
		-kernel "$machine_dir/vmlinuz" -initrd "$machine_dir/initrd" -append "$append"
		-device "intel-iommu,intremap=on$topology_iommu"
		# Or the firmware plugs by ACPI, and the ports' own hot-plug is off.
		-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off
		# The keyboard's road to SysRq: C-a b is a break on the serial line.
		-serial mon:stdio
		-device virtio-serial-pci,max_ports=5
		-chardev "file,id=out,path=$machine_dir/out" -device virtserialport,chardev=out,name=out
		-chardev "file,id=err,path=$machine_dir/err" -device virtserialport,chardev=err,name=err
		-chardev "file,id=status,path=$machine_dir/status" -device virtserialport,chardev=status,name=status
		# QEMU is its own client, so that the guest has its monitor at a port. The
		# path is short, as a socket's has to be; QEMU runs in machine_dir.
		-chardev 'socket,id=qmp,path=monitor,server=on,wait=off' -mon chardev=qmp,mode=control
		-chardev 'socket,id=monitor,path=monitor' -device virtserialport,chardev=monitor,name=monitor
		"${machine_mounts[@]}" "${topology_args[@]}"
	)
	[[ $icount ]] && machine_args+=(-icount shift=0,sleep=off)
}

# machine_follow FILE: copy FILE to standard output as it grows, until QEMU ends.
machine_follow() { tail -q -c +1 -s 0.05 --pid="$machine_qemu" -f "$1"; }

# machine_begun: has the guest come so far as to start COMMAND?
machine_begun() { grep -qa 'lab: COMMAND begins' "$machine_dir/console"; }

# Emulation on a busy host now and then loses a boot: a timer that is late, a
# patched instruction seen half. Nothing was asked of the guest until then, so it
# is booted again; what happens after COMMAND has begun always counts.
machine_run() {
	local attempt timed_out

	topology_load "$topology" "$machine_dir"
	machine_guest_files "$@"
	machine_qemu_args
	for attempt in 1 2 3; do
		machine_boot
		# QEMU may also have refused to start: once more changes nothing.
		if machine_begun || ((attempt == 3)) || [[ ! -s $machine_dir/console ]]; then break; fi
		machine_keep_log
		lab_error "the guest failed before COMMAND began, booting again; console log: $machine_log"
	done
	machine_verdict "$timed_out"
}

# machine_boot: one boot, to its end; sets timed_out.
machine_boot() {
	local followers=() follower deadline boot_deadline keys tick

	timed_out=
	: >"$machine_dir/out"; : >"$machine_dir/err"; : >"$machine_dir/status"; : >"$machine_dir/console"
	rm -f "$machine_dir"/{keys,tick}
	mkfifo "$machine_dir"/{keys,tick}
	exec {keys}<>"$machine_dir/keys" {tick}<>"$machine_dir/tick"
	lab_step "booting '$kernel', topology '$topology'"
	[[ $lab_verbose ]] && lab_error "qemu-system-x86_64 ${machine_args[*]@Q}"

	(cd "$machine_dir" && exec qemu-system-x86_64 "${machine_args[@]}") <"$machine_dir/keys" \
		>"$machine_dir/console" 2>"$machine_dir/qemu" &
	machine_qemu=$!
	machine_follow "$machine_dir/out" {keys}>&- &
	followers+=($!)
	machine_follow "$machine_dir/err" {keys}>&- >&2 &
	followers+=($!)
	if [[ $lab_verbose ]]; then
		machine_follow "$machine_dir/console" {keys}>&- >&2 &
	fi

	deadline=$((SECONDS + timeout))
	boot_deadline=$((SECONDS + ($(lab_slow "$kernel" && echo 600 || echo 120))))
	while kill -0 "$machine_qemu" 2>/dev/null; do
		if ((boot_deadline && SECONDS >= boot_deadline)); then
			machine_begun || { kill "$machine_qemu" 2>/dev/null; break; }
			boot_deadline=0
		fi
		if ((SECONDS >= deadline)); then
			timed_out=1
			# Blocked tasks, then all processors' stacks, into the log.
			printf '\001bw' >&"$keys"
			sleep 1
			printf '\001bl' >&"$keys"
			sleep 1
			kill "$machine_qemu" 2>/dev/null
			break
		fi
		for follower in "${followers[@]}"; do
			# Whoever read our output has gone: there is nobody to run for.
			kill -0 "$follower" 2>/dev/null || { kill "$machine_qemu" 2>/dev/null; break; }
		done
		# Where nothing ever comes: a nap without the fork that sleep costs, which the guest has to pay for.
		read -rt 0.05 -u "$tick"
	done
	wait "$machine_qemu" 2>/dev/null
	machine_status=$?
	machine_qemu=
	wait "${followers[@]}" 2>/dev/null
	exec {keys}>&- {tick}>&-
}

# machine_keep_log: sets machine_log.
machine_keep_log() {
	machine_log=$lab_build/logs/$(date +%Y%m%d-%H%M%S).$$.console
	mkdir -p "${machine_log%/*}"
	cp "$machine_dir/console" "$machine_log"
}

machine_verdict() {
	local status report log

	status=$(tr -d '\r\n' <"$machine_dir/status")
	if report=$(scan_log "$machine_dir/console") && [[ $status && ! $1 ]]; then
		exit "$status"
	fi
	machine_keep_log
	log=$machine_log
	[[ $report ]] && printf '%s\n' "$report" | sed 's/^/lab: | /' >&2
	if [[ $1 ]]; then
		lab_error "timeout after $timeout seconds; console log: $log"
		exit "$LAB_TIMEOUT"
	elif [[ ! $status ]]; then
		[[ -s $machine_dir/qemu ]] && lab_error "$(tail -n 3 "$machine_dir/qemu")"
		[[ $report ]] || tail -n 15 "$log" | tr -d '\r' | sed 's/^/lab: | /' >&2
		lab_error "the guest ended before COMMAND did; console log: $log"
		exit "$LAB_DIED"
	fi
	lab_error "the kernel wrote a report; COMMAND ended with status $status; console log: $log"
	exit "$LAB_REPORT"
}
