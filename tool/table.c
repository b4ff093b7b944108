// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "table.h"

static const struct option_desc common[] = {
	{ 'j', "json", .help = "print one JSON object instead of text" },
	{ 'n', "dry-run", .help = "say what would be done, and do nothing" },
	{ 'v', "verbose", .help = "print more" },
	{ 'h', "help", .help = "print this" },
};

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
			"process that made it), mappers (an array of pids), ranges (as text).",
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
			"functions. After an error the function is as before.",
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
		.brief = "which processes have which buffers",
		.about =
			"Lists the processes that have mapped a buffer or have a descriptor of one: a line "
			"for each process and buffer. With ADDRESS the buffers of that device, with NAME "
			"those of that name.\n"
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
			"descriptors), state (live, quiescing, suspended, revoked; null: not known).",
		.examples = (const struct example_desc[]){
			{ "barbuf ps", "everybody" },
			{ "barbuf ps 00:05.0", "who has buffers of this device" },
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
