"""Prints the spans of tests as a tree, without those of workers, and whether all are in one trace."""

import json

spans = [json.loads(line) for line in open("spans.jsonl", encoding="utf-8")]
known = {span["id"]: span for span in spans}
print("one trace:", len({span["trace"] for span in spans}) == 1)
print("no parent is missing:", all(span["parent"] in known for span in spans if span["parent"]))
print("no id twice:", len(known) == len(spans))
of_run = {span["id"] for span in spans if span["name"].startswith(("test run", "test worker"))}


def show(parents, depth=0):
    for span in sorted((s for s in spans if s["parent"] in parents), key=lambda s: (s["name"], s["id"])):
        if span["id"] not in of_run:
            print("  " * depth + span["name"], span["status"])
            show({span["id"]}, depth + 1)


show(of_run)
