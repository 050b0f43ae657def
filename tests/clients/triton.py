"""The cluster at $MILLRACE_ADDRESS (books-mini), driven with Triton's own client."""
import os
import queue
import unittest

import numpy
import tritonclient.grpc as triton

ADDRESS = os.environ["MILLRACE_ADDRESS"]
MODEL = "books-mini"
PATIENCE = 120


def text(name, content):
    tensor = triton.InferInput(name, [1], "BYTES")
    tensor.set_data_from_numpy(numpy.array([content.encode()], dtype=object))
    return tensor


def parameter(result, name):
    value = result.get_response().parameters[name]
    return getattr(value, value.WhichOneof("parameter_choice"))


class Triton(unittest.TestCase):
    def setUp(self):
        self.client = triton.InferenceServerClient(ADDRESS)

    def infer(self, content="The old house", model=MODEL, **more):
        return self.client.infer(model, [text("text_input", content)], **more)

    def test_live_and_ready(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready(MODEL))
        self.assertTrue(self.client.is_model_ready(MODEL, "1"))
        self.assertFalse(self.client.is_model_ready("another"))
        self.assertFalse(self.client.is_model_ready(MODEL, "2"))

    def test_metadata(self):
        self.assertEqual(self.client.get_server_metadata().name, "millrace")
        model = self.client.get_model_metadata(MODEL)
        self.assertEqual(model.name, MODEL)
        self.assertEqual([tensor.name for tensor in model.inputs], ["text_input", "suffix"])
        self.assertEqual([tensor.name for tensor in model.outputs], ["text_output", "output_ids", "changed_step", "seed"])
        with self.assertRaisesRegex(triton.InferenceServerException, "NOT_FOUND"):
            self.client.get_model_metadata("another")

    def test_the_same_request_gives_the_same_text(self):
        parameters = {"length": 48, "steps": 8, "seed": 7}
        first, second = (self.infer(request_id="a", parameters=parameters) for _ in range(2))
        self.assertEqual(first.as_numpy("text_output")[0], second.as_numpy("text_output")[0])
        self.assertTrue(first.as_numpy("text_output")[0].startswith(b"The old house"))
        self.assertEqual(first.get_response().id, "a")
        self.assertEqual(first.as_numpy("output_ids").shape, (48,))
        self.assertLessEqual(first.as_numpy("changed_step").max(), 8)
        self.assertEqual(first.as_numpy("seed")[0], 7)
        self.assertEqual((parameter(first, "step"), parameter(first, "steps")), (8, 8))

    def test_only_the_outputs_asked_for(self):
        result = self.infer(parameters={"length": 32}, outputs=[triton.InferRequestedOutput("seed")])
        self.assertEqual([tensor.name for tensor in result.get_response().outputs], ["seed"])

    def test_infill(self):
        inputs = [text("suffix", "the end."), text("text_input", "It was")]
        written = self.client.infer(MODEL, inputs, parameters={"length": 32}).as_numpy("text_output")[0]
        self.assertTrue(written.startswith(b"It was") and written.endswith(b"the end."), written)

    def test_bad_requests_name_what_is_wrong(self):
        for options, expected in [
                ({"model": "another"}, "another"),
                ({"parameters": {"length": 0}}, "length"),
                ({"parameters": {"top_p": 0.5}}, "parameters.top_p"),
                ({"outputs": [triton.InferRequestedOutput("logits")]}, "outputs.logits"),
                ({"sequence_id": 5}, "sequence"),
                ({"priority": 9}, "priority"),
                ({"parameters": {"frames": True}}, "frames"),
                ({"timeout": 1, "parameters": {"steps": 64}}, "deadline")]:
            with self.subTest(expected), self.assertRaisesRegex(triton.InferenceServerException, expected):
                self.infer(**options)
        with self.assertRaisesRegex(triton.InferenceServerException, "inputs.prompt"):
            self.client.infer(MODEL, [text("prompt", "x")])

    def stream(self, requests):
        """All answers to the requests, by id: [result or exception]."""
        answers = queue.Queue()
        self.client.start_stream(callback=lambda result, error: answers.put((result, error)))
        for request in requests:
            self.client.async_stream_infer(MODEL, **request)
        found, open_ids = {}, {request["request_id"] for request in requests}
        while open_ids:
            result, error = answers.get(timeout=PATIENCE)
            if error:
                self.assertIn("steps: 0", str(error))
                open_ids -= {"wrong"}
                continue
            name = result.get_response().id
            found.setdefault(name, []).append(result)
            if parameter(result, "triton_final_response"):
                open_ids.remove(name)
        self.client.stop_stream()
        return found

    def test_a_stream_of_requests(self):
        requests = [{"request_id": str(i), "inputs": [text("text_input", "It was")],
                     "parameters": {"length": 32, "steps": 4, "seed": i}} for i in range(12)]
        requests.insert(5, {"request_id": "wrong", "inputs": [text("text_input", "x")], "parameters": {"steps": 0}})
        found = self.stream(requests)
        self.assertEqual(set(found), {str(i) for i in range(12)})
        for i in range(12):
            self.assertEqual(len(found[str(i)]), 1)
            alone = self.infer("It was", parameters={"length": 32, "steps": 4, "seed": i})
            self.assertEqual(found[str(i)][0].as_numpy("text_output")[0], alone.as_numpy("text_output")[0])

    def test_frames(self):
        found = self.stream([{"request_id": "f", "inputs": [text("text_input", "It was")],
                              "parameters": {"length": 32, "steps": 4, "seed": 1, "frames": True}}])["f"]
        self.assertEqual([parameter(result, "step") for result in found], [0, 1, 2, 3, 4])
        before = found[0].as_numpy("output_ids")
        for step, result in enumerate(found[1:], 1):
            ids, changed = result.as_numpy("output_ids"), result.as_numpy("changed_step")
            self.assertTrue(((ids == before) | (changed == step)).all())
            before = ids

    def test_a_stream_that_breaks_ends_its_texts(self):
        begun = queue.Queue()
        self.client.start_stream(callback=lambda result, error: begun.put(result))
        for i in range(4):
            self.client.async_stream_infer(MODEL, [text("text_input", "It was")], request_id=str(i),
                                           parameters={"length": 512, "steps": 1024, "frames": True})
        begun.get(timeout=PATIENCE)  # one of them runs
        self.client.stop_stream(cancel_requests=True)
        self.assertTrue(self.infer(parameters={"length": 32}).as_numpy("text_output")[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
