// SPDX-License-Identifier: MIT
#include "proto.h"

const char *blk_end_name(uint32_t end)
{
	static const char *const names[] = {
		[BLK_END_BYE] = "left",
		[BLK_END_EXITED] = "exited",
		[BLK_END_REVOKED] = "revoked",
		[BLK_END_OVERSTAYED] = "overstayed",
		[BLK_END_HUNG] = "hung",
		[BLK_END_BROKE_DEVICE] = "broke the device",
		[BLK_END_IOMMU_FAULT] = "IOMMU fault",
		[BLK_END_PROTOCOL] = "protocol error",
		[BLK_END_RESET] = "device reset",
		[BLK_END_SHUTDOWN] = "shutdown",
		[BLK_END_DEVICE_GONE] = "device gone",
		[BLK_END_NO_RESOURCES] = "no resources",
	};

	return end < sizeof(names) / sizeof(names[0]) ? names[end] : "unknown reason";
}
