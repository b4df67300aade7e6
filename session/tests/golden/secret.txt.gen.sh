#!/bin/sh
# Wants Python with the packages of the first line; a virtual environment will do: PYTHON=/path/to/venv/bin/python ./secret.txt.gen.sh
# pip install spake2==0.9 noiseprotocol==0.3.1
set -eu
cd "$(dirname "$0")"
"${PYTHON:-python3}" handshake.py secret >secret.txt
