"""A judge that behaves as its argument says. A good answer: nll = bytes of the text, tokens = its words."""
import json
import os
import sys

kind = sys.argv[1]


def say(text):
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os._exit(0)


def answer(request, shift=0):
    return json.dumps({"id": request["id"] + shift, "nll": len(request["text"].encode()),
                       "tokens": len(request["text"].split())})


def wait_for_ever():
    for _ in sys.stdin:
        pass


if kind == "dies_at_once":
    sys.exit(3)
if kind == "silent_hello":
    wait_for_ever()
if kind == "wrong_hello":
    say('{"name": "x"}')
    wait_for_ever()
if kind == "text_hello":
    say("loading ...")
    wait_for_ever()
say('{"judge": "fake 1.0"}')
if kind == "unasked":
    say('{"id": 0, "nll": 1, "tokens": 1}')
for number, line in enumerate(sys.stdin):
    request = json.loads(line)
    late = number == 5
    if kind == "dies" and late:
        sys.exit(4)
    if kind == "hangs" and late:
        wait_for_ever()
    if kind == "garbage" and late:
        say("Traceback (most recent call last):" + 200 * "x")
    elif kind == "out_of_order" and late:
        say(answer(request, 1))
    elif kind == "negative" and late:
        say(json.dumps({"id": request["id"], "nll": -1, "tokens": 1}))
    elif kind == "nan" and late:
        say(json.dumps({"id": request["id"], "nll": float("nan"), "tokens": 1}))
    elif kind == "fraction" and late:
        say(json.dumps({"id": request["id"], "nll": 1, "tokens": 1.5}))
    elif kind == "refuses" and late:
        say(json.dumps({"id": request["id"], "error": "too long for me"}))
    elif kind == "endless" and late:
        sys.stdout.write("x" * 3000000)
        sys.stdout.flush()
    else:
        say(answer(request))
