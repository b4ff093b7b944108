// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "table.h"

static const struct option_desc common[] = {
	{ 'j', "json", .help = "print one JSON object instead of text" },
	{ 'n', "dry-run", .help = "say what would be done, and do nothing" },
	{ 'v', "verbose", .help = "print more" },
	{ 'h', "help", .help = "print this" },
};

/* What map, peek, poke, dump and fill work on. */
#define TARGET_ABOUT                                                                       \
	"ADDRESS/BAR is opened for this, with --dry-run too, which resets most devices as it " \
	"does for any new owner; it must be bound to vfio-pci and free. Instead a "           \
	"buffer can be used: one that barbuf export serves (--socket), or one that was "      \
	"inherited (--fd, or by default BARBUF_FD). If it is revoked, that is told, and the " \
	"exit status is 1."
#define TARGET_ARGUMENT                                                             \
	{ "ADDRESS/BAR", KIND_VFIO_BAR, .optional = true,                           \
	  .help = "a BAR, such as 00:05.0/2; without it a buffer" }
#define TARGET_OPTIONS                                                              \
	{ 's', "socket", "PATH", KIND_FILE, .help = "a buffer of the server there" },       \
	{ 0, "name", "NAME", .help = "which of the server's buffers (default: its only one)" }, \
	{ 0, "fd", "N", .help = "the buffer of descriptor N (default: BARBUF_FD of the environment)" }
#define WIDTH_OPTION                                                                \
	{ 'w', "width", "BITS", KIND_CHOICE, "8 16 32 64", .help = "of an access (default 32)" }

const struct command_desc command_table[NR_COMMANDS] = {
	[CMD_doctor] = {
		.name = "doctor",
		.brief = "what this machine can do, and what is missing",
		.about =
			"Checks the machine, and with ADDRESS a device, and prints a line for each check: "
			"ok, warn or fail, and what to do about it.\n"
			"\n"
			"Fails are what barbuf cannot work without. The exit status is 1 if there is one.\n"
			"\n"
			"A device that is bound to vfio-pci and that nobody has open is opened, which may "
			"reset it, to try what it and this kernel can do.",
		.args = (const struct arg_desc[]){
			{ "ADDRESS", KIND_DEVICE, .optional = true, .help = "the device, as lspci writes it" },
			{ 0 },
		},
		.json = "checks: an array of objects with check, result (ok, warn or fail), text, and "
			"remedy, or null.\n"
			"\n"
			"ok, warn, fail: how many there are of each.",
		.examples = (const struct example_desc[]){
			{ "barbuf doctor", "check the machine" },
			{ "barbuf doctor 00:05.0", "check the machine and a device" },
			{ 0 },
		},
	},
	[CMD_list] = {
		.name = "list",
		.brief = "PCI functions, their drivers, BARs and buffers",
		.about =
			"Lists the PCI functions that have a memory BAR: driver, IOMMU group, BARs, and "
			"how many buffers they have. With --verbose a line for each buffer follows, or "
			"with one ADDRESS only its own.\n"
			"\n"
			"Buffers are read from debugfs, which root may; otherwise '-' is printed for them. "
			"A BAR is INDEX:SIZE:TYPE, where TYPE is io, mem32 or mem64, with :prefetch if it "
			"is prefetchable and :no-mmap if it cannot be mapped as it does not begin with a "
			"page.",
		.options = (const struct option_desc[]){
			{ 'a', "all", .help = "also functions without a memory BAR" },
			{ 0 },
		},
		.args = (const struct arg_desc[]){
			{ "ADDRESS", KIND_DEVICE, .optional = true, .help = "this function only" },
			{ 0 },
		},
		.json = "functions: an array of objects with address, vendor, device and class "
			"(hexadecimal strings), driver and group (null: none), bars, and buffers (null: "
			"not known).\n"
			"\n"
			"bars: objects with bar, size, type (io, mem32, mem64), prefetchable, mappable.\n"
			"\n"
			"buffers: objects with buffer (its inode number), name, address, bar, kind (exported "
			"or bar), state, memattr, size, vmas, importers, dma_maps, pid and comm (of the "
			"process that made it), mappers (an array of pids), attached, ranges (as text).\n"
			"\n"
			"attached: who reaches the buffer by DMA, at most 64 of them, objects with importer "
			"(vfio_iommu_type1, iommu, or the device of another driver), pid and comm (of the "
			"process that attached), iova (a hexadecimal string), length and offset in the "
			"buffer (null: the importer has not said).",
		.verbose = true,
		.examples = (const struct example_desc[]){
			{ "barbuf list", "all functions with a memory BAR" },
			{ "barbuf list -v 00:05.0", "one, with its buffers" },
			{ 0 },
		},
	},
	[CMD_bind] = {
		.name = "bind",
		.brief = "give a PCI function to vfio-pci",
		.about =
			"Takes a PCI function from its driver, gives it to vfio-pci, and remembers the "
			"driver in /run/barbuf for barbuf unbind. Where driverctl(8) is installed, that "
			"does it (with --nosave). The module is loaded if it has to be. It needs root.\n"
			"\n"
			"Refused are bridges, functions in no IOMMU group, and what is in use: a disk that "
			"is mounted, swap or part of device-mapper or md, a network interface with the "
			"default route, the boot VGA device under the console, a device with virtual "
			"functions, one that a process has open through another VFIO driver. After an error the function is as before.",
		.options = (const struct option_desc[]){
			{ 'd', "driver", "NAME", .help = "another VFIO driver, such as mlx5_vfio_pci" },
			{ 0 },
		},
		.args = (const struct arg_desc[]){
			{ "ADDRESS", KIND_DEVICE, .help = "the function" },
			{ 0 },
		},
		.json = "address, before and driver (the drivers' names, or null), group, done (false: "
			"nothing was changed, as by --dry-run or as it was bound so already).",
		.dry_run = true,
		.examples = (const struct example_desc[]){
			{ "barbuf bind 00:05.0", "to vfio-pci" },
			{ "barbuf bind --dry-run 00:05.0", "could it be?" },
			{ 0 },
		},
	},
	[CMD_unbind] = {
		.name = "unbind",
		.brief = "give a PCI function back to the driver it had",
		.about =
			"Gives a PCI function from vfio-pci back to the driver that barbuf bind took it "
			"from, or else to the one that the kernel finds. It needs root.\n"
			"\n"
			"Refused while a process has the device or its IOMMU group open. After an error "
			"the function is as before.",
		.args = (const struct arg_desc[]){
			{ "ADDRESS", KIND_VFIO_DEVICE, .help = "the function" },
			{ 0 },
		},
		.json = "address, before and driver (the drivers' names, or null; with --dry-run the one "
			"remembered), done.",
		.dry_run = true,
		.examples = (const struct example_desc[]){
			{ "barbuf unbind 00:05.0", "back to the driver it had" },
			{ 0 },
		},
	},
	[CMD_ps] = {
		.name = "ps",
		.brief = "which processes and devices reach which buffers",
		.about =
			"Lists the processes that have mapped a buffer, have a descriptor of one, or let "
			"devices of theirs reach one by DMA: a line for each process and buffer. With "
			"ADDRESS the buffers of that device, with NAME those of that name.\n"
			"\n"
			"The column mapped is for CPUs, dma and importers are for devices: how many bytes "
			"of the buffer have an IOVA, and by whom (vfio_iommu_type1, iommu for iommufd, or "
			"the device of another driver, of which the bytes are not known). A process stays "
			"in the list for its DMA mapping when it has unmapped and closed the buffer. "
			"Whether anything of that works now is told by state: only of a live buffer.\n"
			"\n"
			"It is read from /proc, where root sees every process and others their own, and "
			"joined with the kernel's list in debugfs. The column buffer is the inode number, "
			"which is the same for every process. A buffer in no list is of a device that has "
			"been closed, and so revoked.",
		.args = (const struct arg_desc[]){
			{ "ADDRESS|NAME", KIND_VFIO_DEVICE_OR_BUFFER, .optional = true, .help = "a device, or the name of buffers" },
			{ 0 },
		},
		.json = "holders: an array of objects with pid, comm, uid, device and bar (null: not "
			"known), buffer (its inode number), name, mapped (bytes), fds (how many "
			"descriptors), dma (bytes; null: not known), importers (an array of names; null: "
			"not known), state (live, quiescing, suspended, revoked; null: not known).",
		.examples = (const struct example_desc[]){
			{ "barbuf ps", "everybody" },
			{ "barbuf ps 00:05.0", "who reaches this device, by CPUs and by DMA" },
			{ "barbuf ps 'queue of client 7'", "who has this buffer" },
			{ 0 },
		},
	},
	[CMD_revoke] = {
		.name = "revoke",
		.brief = "take buffers back, of any primary",
		.about =
			"Ends every access to a buffer, for ever: no mapping of it works any more, in any "
			"process, when this returns. Other buffers are not touched. The primary need not "
			"cooperate: root takes descriptors of buffer and device from the processes that have "
			"them.\n"
			"\n"
			"Whoever holds a buffer may rename it: NAME is for people, --buffer and --client are "
			"exact.\n"
			"\n"
			"What the kernel says is passed on: a buffer that is revoked already, or of a device "
			"that nobody has open, is a failure.",
		.options = (const struct option_desc[]){
			{ 'b', "buffer", "INODE", .help = "by the number that barbuf ps and /proc/PID/maps show" },
			{ 'c', "client", "PID", KIND_PID, .help = "all buffers that this process has" },
			{ 'a', "all", .help = "all of that NAME, where it fits several" },
			{ 0 },
		},
		.args = (const struct arg_desc[]){
			{ "NAME", KIND_BUFFER, .optional = true, .help = "the buffer's name, as barbuf ps shows it" },
			{ 0 },
		},
		.json = "revoked: how many were.\n"
			"\n"
			"buffers: an array of objects with buffer (its inode number), name, device and bar "
			"(null: not known), mappers (pids whose mappings went), result (revoked, would be "
			"revoked, was revoked, failed).",
		.dry_run = true,
		.examples = (const struct example_desc[]){
			{ "barbuf revoke 'queue of client 7'", "by name" },
			{ "barbuf revoke --buffer 12", "by number, of which there is one only" },
			{ "barbuf revoke --client 1234 --dry-run", "which ones would a process lose?" },
			{ 0 },
		},
	},
	[CMD_export] = {
		.name = "export",
		.brief = "lend ranges of a BAR to a command, or to clients of a socket",
		.about =
			"Makes a buffer of RANGES of a BAR. The device must be bound to vfio-pci (barbuf "
			"bind) and free; it is open here for as long as the command runs, and nowhere else.\n"
			"\n"
			"With COMMAND it is run and inherits the buffer: the number of the descriptor is in "
			"BARBUF_FD, the size in bytes in BARBUF_SIZE. The exit status is that of COMMAND: 128 "
			"and the number of the signal that killed it, 127 if it was not found. The buffer is "
			"revoked when COMMAND ends, also from processes that it has left running.\n"
			"\n"
			"With --socket clients are served until SIGINT or SIGTERM, and their buffers are revoked "
			"then. Each connection gets a buffer of its own, which is revoked when the connection or "
			"the process behind it ends. Without --allow only processes of the own user are served. "
			"The other commands are clients with --socket; the protocol is in tool/serve.h of the "
			"sources.",
		.options = (const struct option_desc[]){
			{ 0, "name", "NAME", .help = "name of the buffer, seen in /proc/PID/maps" },
			{ 'r', "read-only", .help = "no mapping of the buffer can write" },
			{ 0, "wc", .help = "mappings are write-combining" },
			{ 's', "socket", "PATH", KIND_FILE, .help = "serve clients there; a dead server's file is replaced" },
			{ 'a', "allow", "USER[:GROUP]", KIND_USER, .repeat = true,
			  .help = "serve this user, or :GROUP for a group (the primary one counts)" },
			{ 0, "mode", "MODE", .help = "of the socket file, octal (default 0600, with --allow 0666)" },
			{ 0, "max", "N", .help = "lend each NAME to N clients at once at most" },
			{ 0 },
		},
		.args = (const struct arg_desc[]){
			{ "ADDRESS/BAR", KIND_VFIO_BAR, .help = "the BAR, such as 00:05.0/2" },
			{ "[NAME=]RANGES", .repeat = true,
			  .help = "OFFSET:LENGTH[,OFFSET:LENGTH...] of whole pages; NAME is what clients ask for, and the buffer's name" },
			{ 0 },
		},
		.json = "With --socket only: a line with an object for each event. event: listening (with "
			"socket, offers), lent, refused, revoked or failed (a revoke), with name, pid, uid, gid, "
			"buffer (its inode number) and reason where there is one.",
		.takes_command = true,
		.command_optional = true,
		.examples = (const struct example_desc[]){
			{ "barbuf export 00:05.0/2 0:4K -- barbuf peek 0", "a command with one page" },
			{ "barbuf export 00:05.0/2 rx=0:1M tx=1M:1M,4M:4K --socket /run/bar2", "serve two buffers by name" },
			{ "barbuf export 00:05.0/2 0:64K -r --socket /run/bar2 --allow :video --max 4", "to four of a group, read-only" },
			{ 0 },
		},
	},
	[CMD_map] = {
		.name = "map",
		.brief = "map a BAR or buffer, and say when it is taken away",
		.about =
			"Maps the BAR or buffer, touches nothing, and holds the mapping for --seconds or until "
			"SIGINT or SIGTERM. A buffer that is revoked meanwhile is told, and the exit status is 1.\n"
			"\n"
			TARGET_ABOUT,
		.options = (const struct option_desc[]){
			TARGET_OPTIONS,
			{ 'o', "offset", "OFFSET", .help = "map from here on, a multiple of the page size" },
			{ 'l', "length", "LENGTH", .help = "map so much (default: to the end)" },
			{ 't', "seconds", "N", .help = "stop after N seconds" },
			{ 0 },
		},
		.args = (const struct arg_desc[]){ TARGET_ARGUMENT, { 0 } },
		.json = "A line with an object for each event: event (mapped, revoked, unmapped), target, "
			"seconds since it was mapped.",
		.examples = (const struct example_desc[]){
			{ "barbuf map --socket /run/bar2 --name rx", "hold a buffer until it is revoked" },
			{ 0 },
		},
	},
	[CMD_peek] = {
		.name = "peek",
		.brief = "read registers",
		.about =
			"Reads COUNT values from OFFSET on, each by one access, and prints a line for each: "
			"offset and value. Whatever reading them does, it does: some registers are cleared so.\n"
			"\n"
			TARGET_ABOUT,
		.options = (const struct option_desc[]){ TARGET_OPTIONS, WIDTH_OPTION, { 0 } },
		.args = (const struct arg_desc[]){
			TARGET_ARGUMENT,
			{ "OFFSET", .help = "in the BAR or buffer, a multiple of the width" },
			{ "COUNT", .optional = true, .help = "how many values (default 1)" },
			{ 0 },
		},
		.json = "width: of a value, in bits.\n"
			"\n"
			"values: an array of objects with offset and value, hexadecimal strings.",
		.examples = (const struct example_desc[]){
			{ "barbuf peek 00:04.0/0 0", "one register of 32 bits" },
			{ "barbuf peek 00:04.0/0 0x80 4 -w 64", "four of 64 bits" },
			{ "barbuf peek --socket /run/bar2 --name rx 0x1000", "of a buffer that is served" },
			{ 0 },
		},
	},
	[CMD_poke] = {
		.name = "poke",
		.brief = "write registers",
		.about =
			"Writes VALUEs from OFFSET on, each by one access. All are checked before the first is "
			"written.\n"
			"\n"
			TARGET_ABOUT,
		.options = (const struct option_desc[]){ TARGET_OPTIONS, WIDTH_OPTION, { 0 } },
		.args = (const struct arg_desc[]){
			TARGET_ARGUMENT,
			{ "OFFSET", .help = "in the BAR or buffer, a multiple of the width" },
			{ "VALUE", .repeat = true, .help = "decimal, or hexadecimal behind 0x" },
			{ 0 },
		},
		.dry_run = true,
		.examples = (const struct example_desc[]){
			{ "barbuf poke 00:04.0/0 4 0x12345678", "one register of 32 bits" },
			{ "barbuf poke --socket /run/bar2 0 1 2 3 -w 8", "three bytes of a buffer" },
			{ 0 },
		},
	},
	[CMD_dump] = {
		.name = "dump",
		.brief = "print memory behind a BAR as hexdump -C does",
		.about =
			"Reads LENGTH bytes from OFFSET on by accesses of the width, in ascending order, and "
			"prints them in lines of 16 bytes; lines that repeat are one '*'.\n"
			"\n"
			TARGET_ABOUT,
		.options = (const struct option_desc[]){
			TARGET_OPTIONS, WIDTH_OPTION,
			{ 0, "raw", .help = "write the bytes as they are, but not to a terminal" },
			{ 0 },
		},
		.args = (const struct arg_desc[]){
			TARGET_ARGUMENT,
			{ "OFFSET", .optional = true, .help = "in the BAR or buffer, a multiple of the width (default 0)" },
			{ "LENGTH", .optional = true, .help = "how much, a multiple of the width (default: to the end)" },
			{ 0 },
		},
		.examples = (const struct example_desc[]){
			{ "barbuf dump 00:05.0/2 0 256", "the first 256 bytes" },
			{ "barbuf dump 00:05.0/2 1M 64K --raw >part", "64 KiB into a file" },
			{ 0 },
		},
	},
	[CMD_fill] = {
		.name = "fill",
		.brief = "fill memory behind a BAR with a value, or from standard input",
		.about =
			"Writes LENGTH bytes from OFFSET on by accesses of the width, in ascending order: VALUE "
			"again and again, or with - what standard input has. Input that ends early is a failure; "
			"what came until then has been written.\n"
			"\n"
			TARGET_ABOUT,
		.options = (const struct option_desc[]){ TARGET_OPTIONS, WIDTH_OPTION, { 0 } },
		.args = (const struct arg_desc[]){
			TARGET_ARGUMENT,
			{ "OFFSET", .help = "in the BAR or buffer, a multiple of the width" },
			{ "LENGTH", .help = "how much, a multiple of the width" },
			{ "VALUE", .help = "of the width, decimal or hexadecimal behind 0x; -: from standard input" },
			{ 0 },
		},
		.dry_run = true,
		.examples = (const struct example_desc[]){
			{ "barbuf fill 00:05.0/2 0 1M 0", "zero 1 MiB" },
			{ "barbuf fill 00:05.0/2 1M 64K - <part", "write a file of 64 KiB" },
			{ 0 },
		},
	},
	[CMD_trace] = {
		.name = "trace",
		.brief = "follow what happens to buffers",
		.about =
			"Prints a line for each event of vfio_pci_dmabuf: seconds since the start, event, device "
			"and BAR, buffer (its inode number, as in barbuf ps), process, facts. It ends with "
			"--seconds, SIGINT or SIGTERM.\n"
			"\n"
			"Needs root, tracefs, and a kernel with barbuf whose vfio-pci is loaded. It uses a "
			"tracing instance of its own and removes it at the end; other tracing is not disturbed.",
		.options = (const struct option_desc[]){
			{ 'b', "buffer", "NUMBER", .help = "this buffer only" },
			{ 't', "seconds", "N", .help = "stop after N seconds" },
			{ 0 },
		},
		.args = (const struct arg_desc[]){
			{ "ADDRESS", KIND_DEVICE, .optional = true, .help = "buffers of this device only" },
			{ 0 },
		},
		.json = "A line with an object for each event: seconds, event (export, mmap, fault, state, "
			"revoke, release), device, bar, buffer, task, pid, and as strings the facts that "
			"docs/observability.md lists for the event.",
		.examples = (const struct example_desc[]){
			{ "barbuf trace", "everything" },
			{ "barbuf trace 00:05.0 -t 10 --json", "of one device, for ten seconds" },
			{ 0 },
		},
	},
	[CMD_bench] = {
		.name = "bench",
		.brief = "what faults, mappings, revokes and accesses cost here",
		.about =
			"Measures on a BAR, the device being free and bound to vfio-pci, and prints the median of each "
			"row: nanoseconds and, where the processor's counter can be used, instructions. On a "
			"terminal there is a picture, too.\n"
			"\n"
			"Nothing is written to the BAR, but it is read: that of memory (prefetchable) without "
			"effect. Where reading registers may do something, it must be said with --yes.",
		.options = (const struct option_desc[]){
			{ 0, "size", "SIZE", .help = "walk through so much of the BAR (default: 4M, or all of it)" },
			{ 'y', "yes", .help = "read the BAR although it is not prefetchable" },
			{ 0 },
		},
		.args = (const struct arg_desc[]){
			{ "ADDRESS/BAR", KIND_VFIO_BAR, .help = "the BAR, such as 00:05.0/2" },
			{ 0 },
		},
		.json = "address, bar, size (of the walk), mapped (buffer or bar: of what the mappings were).\n"
			"\n"
			"rows: an array of objects with row, what, ns, instructions (null: could not be measured).",
		.examples = (const struct example_desc[]){
			{ "barbuf bench 00:05.0/2", "with the first 4 MiB" },
			{ "barbuf bench 00:04.0/0 --yes --size 64K", "with registers" },
			{ 0 },
		},
	},
};

size_t command_options(const struct command_desc *cmd, const struct option_desc **all, size_t max)
{
	const struct option_desc *o;
	size_t nr = 0, i;

	for (o = cmd->options; o && o->name && nr < max; o++)
		all[nr++] = o;
	for (i = 0; i < sizeof(common) / sizeof(common[0]) && nr < max; i++) {
		o = &common[i];
		if ((o->letter == 'j' && !cmd->json) || (o->letter == 'n' && !cmd->dry_run) ||
		    (o->letter == 'v' && !cmd->verbose))
			continue;
		all[nr++] = o;
	}
	return nr;
}

const struct command_desc *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++) {
		if (!strcmp(command_table[i].name, name))
			return &command_table[i];
	}
	return NULL;
}
