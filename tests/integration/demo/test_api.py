from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mien import EmotionRecognizer
from mien.demo.uploads import READ_S
from mien.results import ImageResult
from support import ROOT

if TYPE_CHECKING:
    from support.page import Page

pytestmark = pytest.mark.slow
SAMPLE = ROOT / "src/mien/assets/sample/astronaut.jpg"
#: Gradio's client warns when it is imported: it runs in a process of its own.
ASK = """
import json, sys, threading
from gradio_client import Client, handle_file
address, photo, junk = sys.argv[1:]
answers = []
def ask(path):
    client = Client(address, verbose=False, httpx_kwargs={"timeout": 120})
    answers.append(client.predict(handle_file(path), None, api_name="/predict"))
threads = [threading.Thread(target=ask, args=(photo,)) for _ in range(5)]
threads.append(threading.Thread(target=ask, args=(junk,)))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
client = Client(address, verbose=False, httpx_kwargs={"timeout": 120})
print(json.dumps([answers, sorted(client.view_api(return_format="dict")["named_endpoints"])]))
"""


def test_programs_and_many_visitors_are_answered_and_nothing_stays(
    page: Page, tmp_path: Path
) -> None:
    import json

    junk = tmp_path / "junk.jpg"
    junk.write_text("only text")
    command = [sys.executable, "-c", ASK, page.address, str(SAMPLE), str(junk)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers, doors = json.loads(done.stdout.splitlines()[-1])
    assert doors == ["/predict"]
    found = [ImageResult.from_dict(answer) for answer in answers if "faces" in answer]
    wrong = [answer for answer in answers if "faces" not in answer]
    expected = EmotionRecognizer().predict(SAMPLE)
    assert len(found) == 5
    assert all(result.faces == expected.faces for result in found)
    assert [answer["kind"] for answer in wrong] == ["InputError"]
    assert wrong[0]["error"].startswith("The file is not a picture")
    end = time.monotonic() + READ_S + 30
    left = page.private
    while any(path.suffix == ".jpg" for path in left.rglob("*")) and time.monotonic() < end:
        time.sleep(0.5)
    assert [path for path in left.rglob("*") if path.suffix == ".jpg"] == []
