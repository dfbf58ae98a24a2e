"""Prints what an editor shows: for each test it knows, every outcome that was sent to it, in order."""

import json
import re
from pathlib import Path

data = Path("messages").read_bytes()
shown = {}
while data:
    head = re.match(rb"content-length: (\d+)\r\ncontent-type: application/json\r\n\r\n", data)
    assert head, f"no message begins here: {data[:80]!r}"
    end = head.end() + int(head[1])
    told = json.loads(data[head.end() : end])["params"]
    data = data[end:]
    if told["result"] is None:
        print("error:", told["error"])
    for test, result in (told["result"] or {}).items():
        if Path(test.split("::")[0]).is_file():
            text = (result["message"] or "-").strip().splitlines()
            errors = [line for line in text if line.startswith("E ")]
            shown.setdefault(test, []).append(f"{result['outcome']} {(errors or text)[0]}")
for test, outcomes in sorted(shown.items()):
    print(Path(test.split("::")[0]).name, *test.split("::")[1:], outcomes)
