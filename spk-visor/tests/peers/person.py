"""A person at a terminal: runs a command on one and types when it asks.

usage: person.py PROMPT ANSWER [PROMPT ANSWER]... -- COMMAND...

Each ANSWER is typed when its PROMPT has appeared, in this order. Prints what the terminal showed; ends with the command's exit status.
"""

import os
import pty
import sys


def main():
    words = sys.argv[1 : sys.argv.index("--")]
    command = sys.argv[sys.argv.index("--") + 1 :]
    answers = list(zip(words[::2], words[1::2]))
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    shown, looked = b"", 0
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
        if answers and answers[0][0].encode() in shown[looked:]:
            looked = len(shown)
            os.write(terminal, answers.pop(0)[1].encode() + b"\n")
    sys.stdout.buffer.write(shown)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
