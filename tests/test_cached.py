"""A value that one thread works out keeps no other thread and no forked process waiting."""

import os
import threading
import time

import pytest

from gdnp._cached import cached_property


class Slow:
    def __init__(self, begun=None, go_on=None):
        self.begun, self.go_on = begun, go_on
        self.calls = 0

    @cached_property
    def value(self):
        """What is cached."""
        self.calls += 1
        if self.begun is not None:
            self.begun.set()
            self.go_on.wait(60)
        return 7


def test_a_value_is_worked_out_once():
    one = Slow()
    assert (one.value, one.value, one.calls) == (7, 7, 1)
    assert Slow.value.__doc__ == "What is cached."


@pytest.fixture
def busy():
    """While another thread is at work on the value of another instance."""
    begun, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: Slow(begun, go_on).value)
    thread.start()
    begun.wait(60)
    yield
    go_on.set()
    thread.join(60)


def test_other_threads_do_not_wait(busy):
    found = []
    other = threading.Thread(target=lambda: found.append(Slow().value), daemon=True)
    other.start()
    other.join(10)
    assert found == [7]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_does_not_wait(busy):
    child = os.fork()
    if child == 0:
        os._exit(Slow().value)
    end = time.monotonic() + 10.0
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
        time.sleep(0.01)
    if not ended[0]:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended[1]) == 7
