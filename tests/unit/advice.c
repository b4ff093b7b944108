// SPDX-License-Identifier: LGPL-2.1-or-later
/* Advice about devices that do not open, over machines of our own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_kernel.h"

static char text[400];

static bool says(const char *address, int error, const char *want)
{
	int ret;

	memset(text, 'x', sizeof(text));
	ret = barbuf__device_advice(&fake, address, error, text, sizeof(text));
	if (ret)
		snprintf(text, sizeof(text), "%s", strerror(-ret));
	return !ret && !strcmp(text, want) && !strchr(text, '\n') && !open_count();
}

static bool says_nothing(const char *address, int error)
{
	return barbuf__device_advice(&fake, address, error, text, sizeof(text)) == -ENOENT;
}

static void addresses(void)
{
	fresh_kernel();
	CHECK(says("eth0", -EINVAL, "'eth0' is no PCI address, such as 0000:00:04.0"), "%s", text);
	CHECK(says("00:09.0", -ENODEV,
		   "there is no PCI device 0000:00:09.0: `lspci -D` shows those there are"),
	      "%s", text);
	CHECK(says_nothing(A0, -EIO), "nothing is known of EIO");
}

static void drivers(void)
{
	fresh_kernel();
	CHECK(says(OTHER, -ENXIO,
		   OTHER " is bound to snd_intel: bind it to vfio-pci (`barbuf bind " OTHER "`)"),
	      "%s", text);
	k.no_vfio_pci = true;
	CHECK(says(OTHER, -ENXIO,
		   OTHER " is bound to snd_intel: bind it to vfio-pci (`modprobe vfio-pci`, then "
			 "`barbuf bind " OTHER "`)"),
	      "%s", text);
	fresh_kernel();
	k.a1_driver = NULL;
	CHECK(says(A1, -ENXIO,
		   A1 " is bound to no driver: bind it to vfio-pci (`barbuf bind " A1 "`)"),
	      "%s", text);
	k.has_vfio = false;
	CHECK(says(A0, -ENXIO,
		   A0
		   " is bound to vfio-pci, but there is no /dev/vfio/12 here: in a container that "
		   "file has to be passed in"),
	      "%s", text);
	k.has_vfio = true;
	CHECK(says_nothing(A0, -ENXIO), "nothing is wrong with the driver");

	CHECK(says(FREE, -ENXIO,
		   FREE " is in no IOMMU group: no IOMMU of this machine translates its DMA"),
	      "%s", text);
	k.no_iommus = true;
	CHECK(says(FREE, -ENXIO,
		   FREE
		   " is in no IOMMU group, as no IOMMU is switched on: enable it in the firmware "
		   "(VT-d, AMD-Vi), and on Intel boot Linux with intel_iommu=on"),
	      "%s", text);
}

static void neighbours(void)
{
	static const char want[] =
		"IOMMU group 8 also holds " OTHER " (snd_intel): without ACS between "
		"them they come and go together, so bind that to vfio-pci or to no "
		"driver, too";

	fresh_kernel();
	CHECK(says(SHARED, -EPERM, want), "%s", text);
	CHECK(says(SHARED, -EBUSY, want), "by iommufd: %s", text);
	CHECK(says_nothing(A0, -EPERM), "a group that is VFIO's alone is not blamed");
	k.a1_driver = "pcieport";
	CHECK(says_nothing(A0, -EPERM), "nor is a bridge");
	k.a1_driver = "mlx5_vfio_pci";
	CHECK(says_nothing(A0, -EPERM), "nor another driver of VFIO");
}

static void holders(void)
{
	char self[16], want[200];

	fresh_kernel();
	CHECK(says(A0, -EBUSY,
		   A0
		   " or its IOMMU group is open in a process that cannot be seen from here, or was a moment ago: try again, "
		   "as root"),
	      "%s", text);
	k.process = (struct fake_process){ "4711", "/dev/vfio/12", "qemu" };
	k.texts[0] = (struct fake_text){ "/proc/4711/comm", "qemu-system-x86\n" };
	CHECK(says(A0, -EBUSY,
		   "process 4711 (qemu-system-x86) has /dev/vfio/12 open, and only one at a time can"),
	      "%s", text);
	k.process.open = "/dev/vfio/devices/vfio0";
	k.texts[0].path = NULL;
	CHECK(says(A0, -EBUSY,
		   "process 4711 (?) has /dev/vfio/devices/vfio0 open, and only one at a time can"),
	      "%s", text);
	k.process.open = "/dev/vfio/1";
	CHECK(!says(A0, -EBUSY, "") && strstr(text, "cannot be seen"), "another group's is none");
	snprintf(self, sizeof(self), "%d", (int)getpid());
	k.process = (struct fake_process){ self, "/dev/vfio/12", "x" };
	snprintf(want, sizeof(want),
		 "this process has /dev/vfio/12 open already: open %s in the same container", A0);
	CHECK(says(A0, -EBUSY, want), "%s", text);
}

static void permissions(void)
{
	fresh_kernel();
	k.open_group = -EACCES;
	CHECK(says(A0, -EACCES,
		   "/dev/vfio/12 is of user 5 and group 6 with mode 0600: run as that user, or give "
		   "the file to yours with chown or a udev rule"),
	      "%s", text);
	k.open_group = 0;
	k.open_cdev = -EACCES;
	CHECK(!says(A0, -EACCES, "") && strstr(text, "/dev/vfio/devices/vfio0 is of user 5"), "%s",
	      text);
	k.open_cdev = 0;
	k.open_iommufd = -EACCES;
	CHECK(!says(A0, -EACCES, "") && strstr(text, "/dev/iommu is of user 5"), "%s", text);
	k.open_iommufd = 0;
	CHECK(says_nothing(A0, -EACCES) && !open_count(), "now all can be opened");
}

static void interfaces(void)
{
	fresh_kernel();
	k.no_vfio_pci = true;
	CHECK(says(A0, -ENOENT, "vfio-pci is not loaded: `modprobe vfio-pci`"), "%s", text);
	fresh_kernel();
	k.has_vfio = k.has_iommufd = false;
	CHECK(says(A0, -EOPNOTSUPP,
		   "there is neither /dev/vfio/vfio nor /dev/iommu here: in a container they have to be "
		   "passed in"),
	      "%s", text);
	k.has_vfio = true;
	CHECK(says(A0, -EPROTONOSUPPORT,
		   "VFIO has no IOMMU of type 1: `modprobe vfio_iommu_type1`"),
	      "%s", text);
	CHECK(!says(A0, -ENOENT, "") && strstr(text, "no /dev/iommu: `modprobe iommufd`"), "%s",
	      text);
	k.has_vfio = false;
	k.has_iommufd = true;
	CHECK(!says(A0, -ENOENT, "") &&
		      strstr(text, "no /dev/vfio/vfio: `modprobe vfio_iommu_type1`"),
	      "%s", text);
	fresh_kernel();
	k.has_cdevs = false;
	CHECK(!says(A0, -EOPNOTSUPP, "") && strstr(text, "no file for this device"), "%s", text);
	k.has_cdevs = true;
	CHECK(says_nothing(A0, -EOPNOTSUPP), "all is there");
}

static void cut(void)
{
	char small[10];

	fresh_kernel();
	CHECK(!barbuf__device_advice(&fake, "eth0", -EINVAL, small, sizeof(small)) &&
		      !strcmp(small, "'eth0' is"),
	      "cut to its room");
	CHECK(!barbuf__device_advice(&fake, "eth0", -EINVAL, NULL, 0), "which may be none");
}

/* What cannot be looked at is not known; nothing stays open. */
static void every_look_may_fail(void)
{
	static const int errors[] = { -ENXIO, -EPERM, -EBUSY, -EACCES, -EOPNOTSUPP, -ENODEV };
	unsigned int left = 0, wrong = 0, looks = 0, n;
	size_t i;
	int ret;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		for (n = 1; n < 40; n++) {
			fresh_kernel();
			k.process = (struct fake_process){ "4711", "/dev/vfio/12", "x" };
			k.open_group = -EACCES;
			k.fail_at = n;
			k.fail_with = -ENOMEM;
			ret = barbuf__device_advice(&fake, SHARED, errors[i], text, sizeof(text));
			wrong += ret && ret != -ENOENT;
			left += open_count();
			looks += k.calls >= n;
		}
	}
	CHECK(looks > 30 && !wrong && !left, "%u looks failed (%u wrong, %u fds left)", looks,
	      wrong, left);
}

int main(void)
{
	addresses();
	drivers();
	neighbours();
	holders();
	permissions();
	interfaces();
	cut();
	every_look_may_fail();
	return tap_done();
}
