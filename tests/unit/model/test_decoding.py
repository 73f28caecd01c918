"""Types that several threads decode first at the same time."""

import subprocess
import sys

import pytest

MANY_THREADS = """
import sys, threading
import msgspec
from attune_ops.model.decoding import decode, decode_msgpack

sys.setswitchinterval(1e-6)
for n in range(150):
    shared = msgspec.defstruct("Shared", [("number", int | None, None), ("text", str | None, None)])
    kinds = [
        msgspec.defstruct(f"Kind{i}", [(f"field{j}", list[shared], []) for j in range(10)]) for i in range(2)
    ]
    value = {f"field{j}": [{"number": 1, "text": "a"}] for j in range(10)}
    together = threading.Barrier(8)

    def work(kind):
        together.wait()
        if FORM == "json":
            found = decode(msgspec.json.encode(value), kind)
        else:
            found = decode_msgpack(msgspec.msgpack.encode(value), kind)
        assert found.field9[0].number == 1

    threads = [threading.Thread(target=work, args=(kinds[i % 2],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_a_new_type_in_eight_threads(form: str) -> None:
    code = MANY_THREADS.replace("FORM", repr(form))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
