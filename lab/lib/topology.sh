# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Topology files: lines of
#
#   device MODEL PLACE OPTIONS   a QEMU device; PLACE is SLOT.FUNCTION on the root
#                                bus or PORT/SLOT.FUNCTION; MODEL is the guest's name for it
#   port   NAME SLOT.FUNCTION    a PCIe root port
#   object OPTIONS               a QEMU object
#   disk   ID MIB                a drive; each 512-byte sector begins with its number in decimal
#   net    ID                    a network backend that leads nowhere
#   iommu  OPTIONS               more options for intel-iommu

topology_dir=$lab_top/lab/topology

# topology_load NAME DIR: sets topology_args for QEMU, topology_iommu, and
# writes DIR/devices for the guest: one MODEL PATH a line.
topology_load() {
	local name=$1 dir=$2 word a b rest chassis=0 line=0
	local -A ports=()

	topology_args=() topology_iommu=
	: >"$dir/devices"
	while read -r word a b rest; do
		line=$((line + 1))
		case $word in
		'' | '#'*) ;;
		device)
			if [[ $b == */* ]]; then
				[[ ${ports[${b%/*}]:-} ]] || lab_die "topology $name, line $line: no port '${b%/*}'"
				topology_args+=(-device "$rest,bus=${b%/*},addr=${b#*/}")
				printf '%s %s/%s\n' "$a" "${ports[${b%/*}]}" "${b#*/}" >>"$dir/devices"
			else
				topology_args+=(-device "$rest,bus=pcie.0,addr=$b")
				printf '%s %s\n' "$a" "$b" >>"$dir/devices"
			fi
			;;
		port)
			chassis=$((chassis + 1))
			ports[$a]=$b
			topology_args+=(-device "pcie-root-port,id=$a,chassis=$chassis,bus=pcie.0,addr=$b")
			;;
		object) topology_args+=(-object "$a") ;;
		disk)
			topology_disk "$dir/$a.img" "$b"
			topology_args+=(-drive "if=none,format=raw,cache=unsafe,id=$a,file=$dir/$a.img")
			;;
		net) topology_args+=(-netdev "user,restrict=on,id=$a") ;;
		iommu) topology_iommu=,$a ;;
		*) lab_die "topology $name, line $line: unknown word '$word'" ;;
		esac
	done <"$topology_dir/$name"
}

topology_disk() {
	awk -v n="$(($2 * 2048))" 'BEGIN { for (i = 0; i < n; i++) printf "%-511d\n", i }' >"$1"
}
