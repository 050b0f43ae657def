"""What every judge of `millrace eval` does with its standard input and output; docs/eval.md has the whole of it.

A judge says who it is, then answers each text in the order in which they come:

    → {"judge": "NAME AND VERSION"}
    ← {"id": 0, "text": "..."}
    → {"id": 0, "nll": 412.7, "tokens": 96}      sum of −ln p over the tokens, and how many tokens
    → {"id": 0, "error": "why not"}              instead, for a text that it cannot score
"""
import json
import os
import sys


def serve(name, score):
    """score(text) returns (nll, tokens), or raises ValueError. Returns when no more texts come."""
    say({"judge": name})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            nll, tokens = score(request["text"])
        except ValueError as why:
            say({"id": request["id"], "error": str(why)})
        else:
            say({"id": request["id"], "nll": float(nll), "tokens": int(tokens)})


def say(value):
    try:
        print(json.dumps(value, allow_nan=False), flush=True)
    except BrokenPipeError:
        os._exit(0)  # nobody wants the answer any more
