// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who has which buffer, of a made-up /proc and debugfs; ps and list on them. */
#include <string.h>

#include "buffers.h"
#include "out.h"
#include "procs.h"

#include "tap.h"
#include "tree.h"

#define LIST "/sys/kernel/debug/vfio_pci_dmabuf"
#define HEADER "buf\tkind\tbar\tstate\tmemattr\tsize\tvmas\timporters\tdma_maps\tpid\tcomm\tattached\tranges\n"
#define FDINFO(ino, exporter) \
	"pos:\t0\nflags:\t02\nino:\t" ino "\nsize:\t4096\nexp_name:\t" exporter "\nname:\tx\n"

static void process(int pid, const char *comm, const char *maps)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	tree_file(path, comm);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	tree_file(path, "Name:\tx\nUid:\t1000\t1000\t1000\t1000\n");
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	tree_file(path, maps);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	tree_folder(path);
}

static void descriptor(int pid, int fd, const char *target, const char *info)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	tree_link(path, target);
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	tree_file(path, info);
}

/*
 * 100, the primary: device, group, buffers 7 and 8. 200, a client: 7 mapped twice and 9, of a
 * device that was closed. 300: a DMABUF of another driver, with a name as vfio-pci gives. By DMA,
 * 8 is reached by 200 twice, of which one importer has not said where, and by 400, which has ended;
 * and the BAR buffer 5, which no CPU has mapped, by 100.
 */
static void make_system(void)
{
	tree_pci("pci0000:00", "0000:00:05.0", "vfio-pci", 3, TREE_RESOURCE);
	tree_file("/sys/devices/pci0000:00/0000:00:05.0/vfio-dev/vfio0/dev", "1:2\n");
	tree_pci("pci0000:00", "0000:00:06.0", "vfio-pci", 4, TREE_RESOURCE);
	tree_file(LIST "/0000:00:05.0",
		  HEADER "8\texported\t2\tlive\twc\t0x2000\t0\t4\t2\t100\tprimary\t"
			 "vfio_iommu_type1/400@0x10000:0x2000:0x0/a b\\054c/d,0000:01:00.0/200/client,"
			 "vfio_iommu_type1/200@0xfffff000:0x1000:0x1000/client,+1\t"
			 "0x0:0x1000,0x8000:0x1000\n"
			 "7\texported\t2\tsuspended\tnc\t0x1000\t2\t0\t0\t100\tprimary\t-\t0x0:0x1000\n"
			 "6\tbar\t0\tlive\tnc\t0x1000\t1\t0\t0\t100\tprimary\t-\t0x0:0x1000\n"
			 "5\tbar\t2\tlive\tnc\t0x40000000\t0\t2\t0\t100\tprimary\t"
			 "iommu/100@0x0:0x1000:0x0/primary,iommu/100@0x1000:0x1000:0x4000/primary\t"
			 "0x0:0x40000000\n");
	process(100, "primary\n",
		"7f0000000000-7f0000001000 r--s 00000000 00:0e 6                  "
		"/dmabuf:0000:00:05.0/bar0\n");
	descriptor(100, 3, "/dev/vfio/vfio", "");
	descriptor(100, 4, "/dev/vfio/3", "");
	descriptor(100, 5, "anon_inode:[vfio-device]",
		   "pos:\t0\nvfio-device-syspath: /sys/devices/pci0000:00/0000:00:05.0\n");
	descriptor(100, 6, "/dmabuf:one", FDINFO("7", "vfio_pci_core"));
	descriptor(100, 7, "/dmabuf:two", FDINFO("8", "vfio_pci_core"));
	descriptor(100, 8, "socket:[1234]", "");
	process(200, "client\n",
		"55d000000000-55d000001000 r-xp 00000000 fe:01 7                  /usr/bin/client\n"
		"7f0000000000-7f0000001000 rw-s 00000000 00:0e 7                  /dmabuf:one\n"
		"7f0000002000-7f0000004000 rw-s 00000000 00:0e 7                  /dmabuf:one\n"
		"7f0000005000-7f0000006000 rw-s 00000000 00:0e 9                  "
		"/dmabuf:0000:00:06.0/bar2+0:1000\n"
		"7f0000007000-7f0000008000 rw-p 00000000 00:00 0\n");
	/* A file, of a root of its own, with the number of a buffer. */
	descriptor(200, 2, "/dmabuf:one", "pos:\t0\nflags:\t02\nmnt_id:\t9\nino:\t7\n");
	descriptor(200, 3, "/dmabuf:one", FDINFO("7", "vfio_pci_core"));
	descriptor(200, 4, "/dmabuf:one", FDINFO("7", "vfio_pci_core"));
	descriptor(200, 5, "/dev/vfio/devices/vfio0", "");
	process(300, "other\n", "");
	descriptor(300, 3, "/dmabuf:0000:00:05.0/bar2", FDINFO("20", "drm"));
	tree_file("/proc/self/x", "");
}

static const struct holder *find(const struct procs *p, pid_t pid, uint64_t inode)
{
	size_t i;

	for (i = 0; i < p->nr_holders; i++) {
		if (p->holders[i].pid == pid && p->holders[i].inode == inode)
			return &p->holders[i];
	}
	return NULL;
}

static void reads_processes(void)
{
	const struct holder *h;
	struct procs p;

	REQUIRE(!procs_read(tree, &p), "/proc is read");
	CHECK(p.looked_at == 3 && !p.denied, "%u processes", p.looked_at);
	CHECK(p.nr_holders == 6, "%zu pairs of process and buffer", p.nr_holders);
	h = find(&p, 200, 7);
	REQUIRE(h, "the client has buffer 7");
	CHECK(h->mapped == 0x3000 && h->fds == 2 && h->fd == 3 && h->uid == 1000 &&
		      !strcmp(h->comm, "client") && !strcmp(h->name, "one") && h->is_vfio,
	      "both mappings and descriptors are counted: %llx, %u", (unsigned long long)h->mapped, h->fds);
	h = find(&p, 100, 6);
	CHECK(h && h->mapped == 0x1000 && !h->fds && h->fd == -1, "a BAR buffer has no descriptor");
	h = find(&p, 300, 20);
	CHECK(h && h->is_other && !procs_is_vfio_buffer(&p, NULL, 0, 20), "what DRM made is not ours");
	CHECK(procs_is_vfio_buffer(&p, NULL, 0, 7), "what vfio-pci made is");
	CHECK(procs_is_vfio_buffer(&p, NULL, 0, 9), "what has a name of vfio-pci's is");
	CHECK(!strcmp(procs_buffer_name(&p, 8), "two") && !strcmp(procs_buffer_name(&p, 99), ""),
	      "names are found");
	procs_free(&p);
}

static void knows_who_holds(void)
{
	struct pci_function five, six;
	unsigned int n = 0, others = 0;
	struct procs p;
	size_t i;

	pci_get(tree, "0000:00:05.0", &five);
	pci_get(tree, "0000:00:06.0", &six);
	REQUIRE(!procs_read(tree, &p), "/proc is read");
	for (i = 0; i < p.nr_fds; i++) {
		n += vfio_fd_is_of(tree, &p.fds[i], &five);
		others += vfio_fd_is_of(tree, &p.fds[i], &six);
	}
	CHECK(p.nr_fds == 3 && n == 3, "group, device and cdev: %zu, %u", p.nr_fds, n);
	CHECK(!others, "and none of another device");
	procs_free(&p);
}

static void map_line(const char *text, bool want)
{
	uint64_t inode = 0, length = 0;
	char line[256];
	const char *name = "";

	snprintf(line, sizeof(line), "%s", text);
	CHECK(procs_parse_map(line, &inode, &length, &name) == want, "'%s': %s", text, name);
}

static void map_lines(void)
{
	map_line("7f00-8f00 rw-s 00000000 00:0e 7    /dmabuf:with a blank", true);
	map_line("7f00-8f00 rw-s 00000000 00:0e 7    /dmabuf:", true);
	map_line("7f00-8f00 rw-s 00000000 00:0e 7    /tmp/dmabuf:x", false);
	map_line("7f00-8f00 rw-s 00000000 00:0e 0", false);
	map_line("7f00-8f00 rw-s", false);
	map_line("", false);
}

static void kernel_name(const char *name, bool want)
{
	char device[PCI_ADDRESS_MAX];
	unsigned int bar;

	CHECK(procs_kernel_name(name, device, &bar) == want, "'%s' is %sthe kernel's", name,
	      want ? "" : "not ");
}

static void kernel_names(void)
{
	kernel_name("0000:00:05.0/bar2", true);
	kernel_name("0000:00:05.0/bar2+4000:1000", true);
	kernel_name("0000:00:05.0/bar2x", false);
	kernel_name("0000:00:05.0/bar", false);
	kernel_name("0000:00:05.0", false);
	kernel_name("bar2", false);
	kernel_name("a name that is longer than any address/bar2", false);
}

static void reads_the_list(void)
{
	char wrong_columns[] = "buf\tkind\n7\texported\n", more[] = "new\t" HEADER "x\t1\tbar\t3\tlive\tnc\t0x10\t"
								  "1\t2\t3\t4\tc\\040c\t-\t0x0:0x10\n";
	char broken[] = HEADER "1\tbar\t3\tlive\tnc\t0x10\t1\t2\t3\t4\tc\tx/1@0x1:0x2/c\t0x0:0x10\n",
	     headless[] = HEADER "1\tbar\t3\tlive\tnc\t0x10\t1\t2\t3\t4\tc\tx\t0x0:0x10\n";
	char cut[] = HEADER "7\texported\n";
	struct buffer_info *b = NULL;
	size_t nr = 0;

	CHECK(buffers_read(tree, &b, &nr) == BUFFERS_KNOWN && nr == 4, "%zu buffers", nr);
	CHECK(b[0].inode == 5 && b[1].inode == 6 && !b[1].exported && b[2].inode == 7 && b[3].inode == 8,
	      "in the order of their numbers");
	CHECK(b[3].exported && b[3].bar == 2 && !strcmp(b[3].state, "live") && !strcmp(b[3].memattr, "wc") &&
		      b[3].size == 0x2000 && !b[3].vmas && b[3].importers == 4 && b[3].dma_maps == 2 &&
		      b[3].pid == 100 && !strcmp(b[3].comm, "primary") &&
		      !strcmp(b[3].ranges, "0x0:0x1000,0x8000:0x1000"),
	      "with all that the kernel says");
	CHECK(buffers_find(b, nr, 7) == &b[2] && !buffers_find(b, nr, 9), "and can be found");
	CHECK(b[3].nr_attached == 3 && !strcmp(b[3].attached[0].name, "vfio_iommu_type1") &&
		      b[3].attached[0].pid == 400 && !strcmp(b[3].attached[0].comm, "a b,c/d") &&
		      b[3].attached[2].iova == 0xfffff000 && b[3].attached[2].length == 0x1000 &&
		      b[3].attached[2].offset == 0x1000,
	      "who is attached, and where");
	CHECK(!strcmp(b[3].attached[1].name, "0000:01:00.0") && b[3].attached[1].pid == 200 &&
		      !b[3].attached[1].length,
	      "one does not say where");
	buffers_free(b, nr);
	b = NULL;
	nr = 0;
	CHECK(buffers_parse("d", wrong_columns, &b, &nr) == -EPROTO && !nr, "missing columns are an error");
	CHECK(buffers_parse("d", cut, &b, &nr) == -EPROTO && !nr, "so is a line that is cut");
	CHECK(buffers_parse("d", broken, &b, &nr) == -EPROTO && !nr &&
		      buffers_parse("d", headless, &b, &nr) == -EPROTO && !nr,
	      "and an importer that is cut");
	CHECK(!buffers_parse("d", more, &b, &nr) && nr == 1 && b[0].inode == 1 && b[0].bar == 3,
	      "a new column is no error");
	buffers_free(b, nr);
}

static char *run(const char *command, const char *arg, bool json, bool verbose, int *status)
{
	char *args[] = { (char *)arg, NULL };
	struct call c = { .cmd = find_command(command), .root = tree, .json = json, .verbose = verbose,
			  .args = args, .nr_args = !!arg };

	if (!strcmp(command, "ps"))
		return TREE_PRINTED(*status = cmd_ps(&c));
	return TREE_PRINTED(*status = cmd_list(&c));
}

static void prints(const char *command, const char *arg, bool verbose, const char *want)
{
	int status;
	char *printed = run(command, arg, false, verbose, &status);

	if (!CHECK(!status && !strcmp(printed, want), "%s %s prints what it should", command,
		   arg ? arg : ""))
		fputs(printed, stderr);
	free(printed);
}

#define PS "pid\tcomm\tuid\tdevice\tbar\tbuffer\tmapped\tfds\tdma\timporters\tstate\tname\n"

static void ps(void)
{
	int status;
	char *printed;
	json_t *root, *holder;

	prints("ps", NULL, false,
	       PS "100\tprimary\t1000\t0000:00:05.0\t2\t5\t0\t0\t8K\tiommu\tlive\t-\n"
		  "100\tprimary\t1000\t0000:00:05.0\t0\t6\t4K\t0\t0\t-\tlive\t0000:00:05.0/bar0\n"
		  "100\tprimary\t1000\t0000:00:05.0\t2\t7\t0\t1\t0\t-\tsuspended\tone\n"
		  "100\tprimary\t1000\t0000:00:05.0\t2\t8\t0\t1\t0\t-\tlive\ttwo\n"
		  "200\tclient\t1000\t0000:00:05.0\t2\t7\t12K\t2\t0\t-\tsuspended\tone\n"
		  "200\tclient\t1000\t0000:00:05.0\t2\t8\t0\t0\t-\t0000:01:00.0,vfio_iommu_type1\tlive\ttwo\n"
		  "200\tclient\t1000\t0000:00:06.0\t2\t9\t4K\t0\t0\t-\trevoked\t0000:00:06.0/bar2+0:1000\n"
		  "400\ta b,c/d\t-\t0000:00:05.0\t2\t8\t0\t0\t8K\tvfio_iommu_type1\tlive\ttwo\n");
	prints("ps", "two", false,
	       PS "100\tprimary\t1000\t0000:00:05.0\t2\t8\t0\t1\t0\t-\tlive\ttwo\n"
		  "200\tclient\t1000\t0000:00:05.0\t2\t8\t0\t0\t-\t0000:01:00.0,vfio_iommu_type1\tlive\ttwo\n"
		  "400\ta b,c/d\t-\t0000:00:05.0\t2\t8\t0\t0\t8K\tvfio_iommu_type1\tlive\ttwo\n");
	prints("ps", "00:06.0", false,
	       PS "200\tclient\t1000\t0000:00:06.0\t2\t9\t4K\t0\t0\t-\trevoked\t0000:00:06.0/bar2+0:1000\n");
	prints("ps", "nope", false, PS);
	printed = run("ps", NULL, true, false, &status);
	root = json_loads(printed, 0, NULL);
	CHECK(!status && json_array_size(json_object_get(root, "holders")) == 8, "--json has all eight");
	holder = json_array_get(json_object_get(root, "holders"), 5);
	CHECK(json_is_null(json_object_get(holder, "dma")) &&
		      json_array_size(json_object_get(holder, "importers")) == 2,
	      "with what is not known as null");
	json_decref(root);
	free(printed);
	free(run("ps", "00:07.0", false, false, &status));
	CHECK(status == EXIT_WRONG, "a device that is not there is refused");
}

static void list(void)
{
	int status;
	char *printed;
	json_t *root, *first, *attached;

	prints("list", "00:05.0", false,
	       "address\tid\tclass\tdriver\tgroup\tbuffers\tbars\n"
	       "0000:00:05.0\t1af4:1110\t050000\tvfio-pci\t3\t4\t"
	       "0:256:mem32,2:1G:mem64:prefetch,4:64:io,5:1K:mem32:no-mmap\n");
	prints("list", "00:06.0", true,
	       "address\tid\tclass\tdriver\tgroup\tbuffers\tbars\n"
	       "0000:00:06.0\t1af4:1110\t050000\tvfio-pci\t4\t0\t"
	       "0:256:mem32,2:1G:mem64:prefetch,4:64:io,5:1K:mem32:no-mmap\n"
	       "\n"
	       "buffer\taddress\tbar\tkind\tstate\tmemattr\tsize\tvmas\timporters\tdma_maps\tpid\tcomm\t"
	       "mappers\tattached\tname\tranges\n");
	printed = run("list", "00:05.0", false, true, &status);
	CHECK(!status && strstr(printed, "\t-\tiommu/100@0x0:0x1000:0x0,iommu/100@0x1000:0x1000:0x4000\t-\t") &&
		      strstr(printed, "\tvfio_iommu_type1/400@0x10000:0x2000:0x0,0000:01:00.0/200,"
				      "vfio_iommu_type1/200@0xfffff000:0x1000:0x1000,+1\ttwo\t"),
	      "-v has who is attached, and where: %s", printed);
	free(printed);
	printed = run("list", "00:05.0", true, false, &status);
	root = json_loads(printed, 0, NULL);
	free(printed);
	first = json_array_get(json_object_get(root, "functions"), 0);
	CHECK(json_array_size(json_object_get(first, "bars")) == 4 &&
		      json_array_size(json_object_get(first, "buffers")) == 4,
	      "--json has BARs and buffers");
	attached = json_object_get(json_array_get(json_object_get(first, "buffers"), 3), "attached");
	CHECK(json_array_size(attached) == 3 &&
		      !strcmp(json_string_value(json_object_get(json_array_get(attached, 2), "iova")),
			      "0xfffff000") &&
		      json_is_null(json_object_get(json_array_get(attached, 1), "iova")),
	      "and who is attached");
	first = json_array_get(json_object_get(first, "buffers"), 2);
	CHECK(json_integer_value(json_array_get(json_object_get(first, "mappers"), 0)) == 200,
	      "with those who have mapped them");
	json_decref(root);
}

/* On a kernel without the list, states are not known, and revoked is not guessed. */
static void without_list(void)
{
	struct buffer_info *b;
	size_t nr;

	tree_remove(LIST "/0000:00:05.0");
	tree_remove(LIST);
	CHECK(buffers_read(tree, &b, &nr) == BUFFERS_NO_DEBUGFS, "debugfs is not mounted");
	tree_file("/sys/kernel/debug/bdi", "");
	CHECK(buffers_read(tree, &b, &nr) == BUFFERS_NOT_OURS, "another kernel's debugfs");
	prints("ps", "two", false, PS "100\tprimary\t1000\t-\t-\t8\t0\t1\t-\t-\t-\ttwo\n");
	prints("ps", "00:06.0", false,
	       PS "200\tclient\t1000\t0000:00:06.0\t2\t9\t4K\t0\t-\t-\t-\t0000:00:06.0/bar2+0:1000\n");
	prints("list", "00:05.0", false,
	       "address\tid\tclass\tdriver\tgroup\tbuffers\tbars\n"
	       "0000:00:05.0\t1af4:1110\t050000\tvfio-pci\t3\t-\t"
	       "0:256:mem32,2:1G:mem64:prefetch,4:64:io,5:1K:mem32:no-mmap\n");
}

int main(void)
{
	tree_begin();
	make_system();
	reads_processes();
	knows_who_holds();
	map_lines();
	kernel_names();
	reads_the_list();
	ps();
	list();
	without_list();
	tree_end();
	return tap_done();
}
