"""The first SIGINT or SIGTERM asks the process to stop, the second one ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from bench.execute.interrupts import Interrupted, Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_raised_where_the_program_is(number):
    def work():
        with Interrupts():
            os.kill(os.getpid(), number)
            time.sleep(1)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        work()
    assert caught.value.signal == number
    assert not isinstance(caught.value, Exception), "no handler of errors may swallow it"
    assert signal.getsignal(number) == before


def test_the_handlers_before_come_back_without_a_signal():
    before = [signal.getsignal(number) for number in Interrupts.SIGNALS]
    with Interrupts():
        assert [signal.getsignal(number) for number in Interrupts.SIGNALS] != before
    assert [signal.getsignal(number) for number in Interrupts.SIGNALS] == before


def test_the_second_one_ends_a_process_that_takes_its_time():
    """However long it would have tidied up; the shell's status for the second signal."""
    code = (
        "import os, signal, time\n"
        "from bench.execute.interrupts import Interrupted, Interrupts\n"
        "with Interrupts():\n"
        "    try: os.kill(os.getpid(), signal.SIGINT); time.sleep(30)\n"
        "    except Interrupted: os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=20, check=False)
    assert done.returncode == 128 + signal.SIGTERM
