"""OpenAI's own client against a cluster's HTTP door. Environment: MILLRACE_URL, and MILLRACE_TOKEN where tokens are asked for."""
import asyncio
import json
import os
import unittest
import urllib.request

import openai

URL = os.environ["MILLRACE_URL"]
CLIENT = openai.OpenAI(base_url=URL + "/v1", api_key=os.environ.get("MILLRACE_TOKEN", "none"), max_retries=0)
MODEL = CLIENT.models.list().data[0].id


def complete(**fields):
    return CLIENT.completions.create(**{"model": MODEL, "max_tokens": 12, "seed": 5, "prompt": "The cat", **fields})


class Tests(unittest.TestCase):
    def test_models(self):
        model = CLIENT.models.retrieve(MODEL)
        self.assertEqual((model.id, model.object, model.owned_by), (MODEL, "model", "millrace"))
        self.assertGreater(model.created, 1_600_000_000)
        with self.assertRaises(openai.NotFoundError) as caught:
            CLIENT.models.retrieve("gpt-5")
        self.assertEqual(caught.exception.code, "model_not_found")

    def test_completion(self):
        answer = complete(n=2, temperature=0.8, user="anna", echo=True, stop=["\u0001"])
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])
        self.assertEqual({choice.finish_reason for choice in answer.choices}, {"length"})
        self.assertTrue(all(choice.text.startswith("The cat") and choice.logprobs is None for choice in answer.choices))
        self.assertEqual(answer.usage.completion_tokens, 24)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + 24)
        self.assertTrue(answer.id.startswith("cmpl-") and answer.system_fingerprint.startswith(MODEL))
        self.assertEqual([choice.millrace["seed"] for choice in answer.choices], [5, 6])
        self.assertEqual(answer._request_id, answer.id[len("cmpl-"):])

    def test_same_seed_same_text(self):
        self.assertEqual(complete().choices[0].text, complete().choices[0].text)
        self.assertNotEqual(complete(seed=openai.omit, max_tokens=40).choices[0].text, complete(seed=openai.omit, max_tokens=40).choices[0].text)

    def test_extensions(self):
        answer = complete(extra_body={"millrace": {"steps": 3, "solver": "cumulative", "priority": "high", "deadline": 60}})
        self.assertEqual(answer.choices[0].millrace["steps"], 3)

    def test_stream(self):
        whole = complete(n=3)
        texts, usage = {}, None
        for chunk in complete(n=3, stream=True, stream_options={"include_usage": True}):
            self.assertEqual((chunk.object, chunk.model), ("text_completion", MODEL))
            for choice in chunk.choices:
                texts[choice.index] = texts.get(choice.index, "") + choice.text
            usage = chunk.usage or usage
        self.assertEqual(texts, {choice.index: choice.text for choice in whole.choices})
        self.assertEqual(usage, whole.usage)

    def test_frames(self):
        steps, text = [], ""
        for chunk in complete(stream=True, extra_body={"millrace": {"frames": True, "steps": 4}}):
            said = (chunk.model_extra or {}).get("millrace", {})
            steps += [said["frame"]["step"]] if "frame" in said else []
            text += "".join(choice.text for choice in chunk.choices)
        self.assertEqual(steps, [0, 1, 2, 3, 4])
        self.assertEqual(text, complete(extra_body={"millrace": {"steps": 4}}).choices[0].text)

    def test_our_events_as_its_parser_reads_them(self):
        """What its parser makes of the stream is what stands in it: the same objects, in the same order, and nothing else."""
        body = {"model": MODEL, "prompt": "The cat", "max_tokens": 12, "seed": 5, "n": 2, "stream": True,
                "stream_options": {"include_usage": True}, "millrace": {"frames": True}}
        headers = {"Authorization": f"Bearer {CLIENT.api_key}", "Content-Type": "application/json"}

        def by_place(events):  # two choices' events may come in another order
            def place(event):
                said = event.get("millrace", {})
                inner = said.get("frame") or said.get("accepted") or {}
                choices = event["choices"]
                return (inner.get("index", choices[0]["index"] if choices else 99), inner.get("step", -1 if "accepted" in said else 999))
            return sorted(events, key=place)

        def without_what_differs(event):
            event = json.loads(json.dumps(event))
            for key in ("id", "created"):
                del event[key]
            for part in [event.get("millrace", {}).get("frame"), event.get("millrace", {}).get("accepted"),
                         *(choice.get("millrace") for choice in event["choices"])]:
                for key in ("seconds", "request_id", "estimated_seconds"):
                    (part or {}).pop(key, None)
            return event

        asked = urllib.request.Request(URL + "/v1/completions", json.dumps(body).encode(), headers)
        raw = urllib.request.urlopen(asked, timeout=120).read().decode()
        lines = [part[6:] for part in raw.split("\n\n") if part.startswith("data: ")]
        self.assertEqual(lines.pop(), "[DONE]")
        ours = by_place([json.loads(line) for line in lines])
        theirs = by_place([chunk.model_dump(exclude_unset=True) for chunk in complete(
            n=2, stream=True, stream_options={"include_usage": True}, extra_body={"millrace": {"frames": True}})])
        self.assertEqual([without_what_differs(event) for event in ours], [without_what_differs(event) for event in theirs])

    def test_errors(self):
        for kind, fields in [(openai.BadRequestError, {"logprobs": 3}), (openai.BadRequestError, {"best_of": 4}),
                             (openai.BadRequestError, {"max_tokens": 100000}), (openai.BadRequestError, {"temperature": 0}),
                             (openai.NotFoundError, {"model": "gpt-5"})]:
            with self.assertRaises(kind) as caught:
                complete(**fields)
            self.assertEqual(caught.exception.param, next(iter(fields)))
        with self.assertRaises(openai.BadRequestError) as caught:
            CLIENT.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}])
        self.assertEqual(caught.exception.code, "no_chat_template")
        with self.assertRaises(openai.InternalServerError) as caught:
            complete(max_tokens=400, extra_body={"millrace": {"steps": 1000, "deadline": 0.2}})
        self.assertEqual((caught.exception.status_code, caught.exception.code), (504, "deadline_exceeded"))

    def test_error_in_a_stream(self):
        with self.assertRaises(openai.APIError) as caught:
            for _ in complete(max_tokens=400, stream=True, extra_body={"millrace": {"steps": 1000, "deadline": 1.5}}):
                pass
        self.assertIn("deadline", str(caught.exception))

    def test_many_at_once(self):
        async def run():
            async with openai.AsyncOpenAI(base_url=URL + "/v1", api_key=CLIENT.api_key, max_retries=5) as client:
                async def one(seed):
                    stream = await client.completions.create(model=MODEL, prompt="The cat", max_tokens=12, seed=seed, stream=True)
                    return "".join([choice.text async for chunk in stream for choice in chunk.choices])
                return await asyncio.gather(*[one(seed % 4) for seed in range(64)])
        texts = asyncio.run(run())
        self.assertEqual(texts, texts[:4] * 16)
        self.assertEqual(texts[1], complete(seed=1).choices[0].text)

    def test_leaving_a_stream(self):
        stream = complete(max_tokens=400, stream=True, extra_body={"millrace": {"steps": 1000, "frames": True}})
        next(iter(stream))
        stream.close()


if __name__ == "__main__":
    unittest.main()
