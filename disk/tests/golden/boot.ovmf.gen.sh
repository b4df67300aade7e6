#!/bin/sh
# Writes boot.ovmf: the boot variables in the variable store (UEFI PI 1.8, vol. 3, 3.2.3 and its EDK2 layout) of an OVMF that has started
# once, on a machine with a network card and a USB disk. One variable a line: name, content in hexadecimal.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp /usr/share/OVMF/OVMF_VARS_4M.fd "$work/vars"
truncate -s 1M "$work/disk"
timeout 60 qemu-system-x86_64 -nodefaults -machine q35 -m 256 -display none -netdev user,id=n,restrict=on -device virtio-net-pci,netdev=n \
    -device qemu-xhci -drive "if=none,id=d,format=raw,file=$work/disk" -device usb-storage,drive=d,removable=on \
    -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
    -drive "if=pflash,format=raw,unit=1,file=$work/vars" || [ $? = 124 ]
python3 - "$work/vars" > boot.ovmf <<'P'
import struct, sys
store = open(sys.argv[1], "rb").read()
at = struct.unpack_from("<H", store, 48)[0]
end, at = at + struct.unpack_from("<I", store, at + 16)[0], at + 28
found = {}
while at < end and store[at:at + 2] == b"\xaa\x55":
    name_len, data_len = struct.unpack_from("<II", store, at + 36)
    name = store[at + 60:at + 60 + name_len].decode("utf-16-le").rstrip("\0")
    if store[at + 2] == 0x3F and name.startswith("Boot"):
        found[name] = store[at + 60 + name_len:at + 60 + name_len + data_len].hex()
    at = (at + 60 + name_len + data_len + 3) & ~3
for name in sorted(found):
    print(name, found[name])
P
