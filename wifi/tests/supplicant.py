#!/usr/bin/env python3
"""A supplicant without a card: the control interface of wpa_supplicant 2.10, and an air that a test writes.

usage as of wpa_supplicant: -i INTERFACE -D nl80211 -C DIRECTORY

DIRECTORY/../air.json is a list of access points: ssid (hex), passphrase or null, sae. It is read at each command. A datagram
`TEST lose`, `TEST die` or `TEST mute` on the socket is the test's. What is said is written as in wpa_supplicant/ctrl_iface.c,
events.c and sme.c of version 2.10.
"""

import json
import os
import socket
import sys

arguments = sys.argv[1:]
assert arguments[0::2] == ["-i", "-D", "-C"] and arguments[3] == "nl80211", arguments
interface, directory = arguments[1], arguments[5]
assert os.stat(directory).st_mode & 0o777 == 0o700, "others can talk to it"
path = os.path.join(directory, interface)
link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
link.bind(path)
os.chmod(path, 0o770)
print("Successfully initialized wpa_supplicant", flush=True)

monitor, network, is_joined, is_mute = None, None, False, False


def air():
    with open(os.path.join(directory, "..", "air.json")) as file:
        return json.load(file)


def event(text, level=3):
    if monitor:
        link.sendto(f"<{level}>{text}".encode(), monitor)


def escaped(ssid):
    out = ""
    for byte in bytes.fromhex(ssid):
        if chr(byte) in '"\\':
            out += "\\" + chr(byte)
        elif 32 <= byte <= 126:
            out += chr(byte)
        else:
            out += f"\\x{byte:02x}"
    return out


def page(first):
    points = air()
    text = ""
    for number, point in enumerate(points):
        if number < first:
            continue
        keys = "" if point["passphrase"] is None else "[WPA2-SAE-CCMP]" if point["sae"] else "[WPA2-PSK-CCMP]"
        entry = f"id={number}\nfreq=2412\nlevel={-40 - number}\nflags={keys}[ESS]\nssid={escaped(point['ssid'])}\n====\n"
        if len(text) + len(entry) > 4096:
            return text
        text += entry
    return text[:-5] + "####\n" if text else ""


def join():
    global is_joined
    bssid = "02:00:00:00:01:00"
    wanted = [point for point in air() if point["ssid"] == network.get("ssid")]
    event("CTRL-EVENT-SCAN-STARTED ")
    event("CTRL-EVENT-SCAN-RESULTS ")
    if not wanted:
        event("CTRL-EVENT-NETWORK-NOT-FOUND ")
        event("CTRL-EVENT-NETWORK-NOT-FOUND ")
        return
    point = wanted[0]
    passphrase = None
    if "psk" in network:
        assert network["key_mgmt"] == "WPA-PSK WPA-PSK-SHA256 SAE" and network["ieee80211w"] == "1", network
        assert network["psk"][0] == network["psk"][-1] == '"', network
        passphrase = network["psk"][1:-1]
    else:
        assert network["key_mgmt"] == "NONE", network
    ssid = escaped(point["ssid"])
    event(f"SME: Trying to authenticate with {bssid} (SSID='{ssid}' freq=2412 MHz)")
    if passphrase == point["passphrase"]:
        is_joined = True
        event(f"WPA: Key negotiation completed with {bssid} [PTK=CCMP GTK=CCMP]")
        event(f"CTRL-EVENT-CONNECTED - Connection to {bssid} completed [id=0 id_str=]")
    elif point["sae"]:
        event(f"CTRL-EVENT-AUTH-REJECT {bssid} auth_type=3 auth_transaction=2 status_code=15")
    else:
        event(f"CTRL-EVENT-DISCONNECTED bssid={bssid} reason=15")
        event("WPA: 4-Way Handshake failed - pre-shared key may be incorrect", 4)
        event(f'CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="{ssid}" auth_failures=1 duration=10 reason=WRONG_KEY')


def answer(command, sender):
    global monitor, network, is_joined, is_mute
    word, _, rest = command.partition(" ")
    if command == "TEST die":
        print("nl80211: the card is on fire", flush=True)
        sys.exit(1)
    elif command == "TEST lose":
        is_joined = False
        event("CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:01:00 reason=4 locally_generated=1")
    elif command == "TEST back":
        join()
    elif command == "ATTACH":
        monitor = sender
        return "OK\n"
    elif command == "SET sae_pwe 2":
        return "OK\n"
    elif command == "SCAN":
        return "OK\n"
    elif word == "BSS":
        assert rest.endswith(" MASK=21885"), rest
        return page(int(rest.removeprefix("RANGE=").split("-")[0]))
    elif command == "REMOVE_NETWORK all":
        network = None
        return "OK\n"
    elif command == "ADD_NETWORK":
        network = {}
        return "0\n"
    elif word == "SET_NETWORK":
        _, key, value = rest.split(" ", 2)
        network[key] = value
        return "OK\n"
    elif command == "SELECT_NETWORK 0":
        return "OK\n"
    else:
        return "UNKNOWN COMMAND\n"


while True:
    datagram, sender = link.recvfrom(4097)
    command = datagram.decode()
    text = answer(command, sender)
    if text is not None:
        link.sendto(text.encode(), sender)
    if command == "SCAN":
        event("CTRL-EVENT-SCAN-STARTED ")
        event("CTRL-EVENT-SCAN-RESULTS ")
    if command == "SELECT_NETWORK 0":
        join()
