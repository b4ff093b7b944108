# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Topology files: lines of
#
#   device MODEL PLACE OPTIONS   a QEMU device; PLACE is SLOT.FUNCTION on the root
#                                bus or PORT/SLOT.FUNCTION; MODEL is the guest's name for it
#                                and, with -1, -2... from its second on, the monitor's
#   port   NAME SLOT.FUNCTION [OPTIONS]    a PCIe root port
#   object OPTIONS               a QEMU object
#   disk   ID MIB                a drive; each 512-byte sector begins with its number in decimal
#   net    ID                    a network backend that leads nowhere
#   iommu  OPTIONS               more options for intel-iommu

topology_dir=$lab_top/lab/topology

# topology_load NAME DIR: sets topology_args for QEMU, topology_iommu, and
# writes DIR/devices for the guest: MODEL PATH OPTIONS a line, OPTIONS being what
# device_add wants to have it back.
topology_load() {
	local name=$1 dir=$2 word a b rest id path chassis=0 line=0
	local -A ports=() count=()

	topology_args=() topology_iommu=
	: >"$dir/devices"
	while read -r word a b rest; do
		line=$((line + 1))
		case $word in
		'' | '#'*) ;;
		device)
			id=$a${count[$a]:+-${count[$a]}}
			count[$a]=$((${count[$a]:-0} + 1))
			if [[ $b == */* ]]; then
				[[ ${ports[${b%/*}]:-} ]] || lab_die "topology $name, line $line: no port '${b%/*}'"
				rest+=,id=$id,bus=port-${b%/*},addr=${b#*/}
				path=${ports[${b%/*}]}/${b#*/}
			else
				rest+=,id=$id,bus=pcie.0,addr=$b
				path=$b
			fi
			topology_args+=(-device "$rest")
			printf '%s %s %s\n' "$a" "$path" "$rest" >>"$dir/devices"
			;;
		port)
			chassis=$((chassis + 1))
			ports[$a]=$b
			topology_args+=(-device "pcie-root-port,id=port-$a,chassis=$chassis,bus=pcie.0,addr=$b${rest:+,$rest}")
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
