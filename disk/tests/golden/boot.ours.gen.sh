#!/bin/sh
# Writes boot.ours with efibootmgr(8) and sfdisk(8): a partition on a loop device, its boot option in a directory that stands for
# the firmware's variables. Needs root for the loop device.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'losetup -d "$loop"; rm -rf "$work"' EXIT
truncate -s 600M "$work/disk"
printf 'label: gpt\nstart=2048, size=1048576, type=U, uuid=01020304-0506-0708-090A-0B0C0D0E0F10\n' | sfdisk -q "$work/disk"
loop=$(losetup -f --show -P "$work/disk")
EFIVARFS_PATH=$work/ efibootmgr -q -c -d "$loop" -p 1 -l '\EFI\smechvisor\grubx64.efi' -L 'Debian GNU/Linux 12'
# Behind the attributes, which are the file system's.
tail -c +5 "$work"/Boot0000-* > boot.ours
