"""A judge of texts: the programs of `millrace eval --judge`, by the same lines of JSON (docs/eval.md)."""

import json
import math
import shlex
import subprocess

from .errors import TrainingError


class Judge:
    def __init__(self, command):
        try:
            self.process = subprocess.Popen(
                shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        except OSError as error:
            raise TrainingError(f"the judge could not be started: {error}") from None
        self.name = self._answer()["judge"]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def _answer(self):
        line = self.process.stdout.readline()
        try:
            answer = json.loads(line)
        except ValueError:
            self.close()
            raise TrainingError(f"the judge ended or said {line[:80]!r} instead of a line of JSON") from None
        if "error" in answer:
            raise TrainingError(f"the judge could not score a text: {answer['error']}")
        return answer

    def perplexity(self, texts):
        """Mean over texts of exp(NLL / tokens); texts of 0 tokens are left out."""
        found = []
        for i, text in enumerate(texts):
            self.process.stdin.write(json.dumps({"id": i, "text": text}) + "\n")
            self.process.stdin.flush()
            answer = self._answer()
            if answer["tokens"]:
                found.append(math.exp(answer["nll"] / answer["tokens"]))
        return sum(found) / len(found) if found else float("nan")
