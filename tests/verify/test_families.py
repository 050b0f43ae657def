"""`millrace verify` on the golden vectors of the published families, and on copies of them in which something is wrong.

Environment, as CTest sets it: MILLRACE_BIN, MILLRACE_SHARED. Exits 77 (skipped) where the vectors are missing.
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

BIN = os.environ["MILLRACE_BIN"]
GOLDEN = os.path.join(os.environ.get("MILLRACE_SHARED", ""), "golden/families")
FAMILIES = "mdlm", "sedd", "duo", "udlm", "gidd", "bd3lm"
FORMATS = {"F32": "<f", "F64": "<d", "I64": "<q"}


def change(path, tensor, index, how):
    """Replaces one number of a safetensors file by how(number)."""
    with open(path, "r+b") as file:
        size, = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(size))[tensor]
        code = FORMATS[entry["dtype"]]
        at = 8 + size + entry["data_offsets"][0] + index * struct.calcsize(code)
        file.seek(at)
        number, = struct.unpack(code, file.read(struct.calcsize(code)))
        file.seek(at)
        file.write(struct.pack(code, how(number)))


def edit_json(path, edit):
    with open(path) as file:
        content = json.load(file)
    edit(content)
    with open(path, "w") as file:
        json.dump(content, file)


def verify(directory, *options):
    return subprocess.run([os.path.join(BIN, "millrace"), "verify", directory, *options], capture_output=True,
                          text=True, timeout=1000)


def findings(directory, *options):
    """Exit code and findings of one rank."""
    command = [os.path.join(BIN, "millrace-worker"), "--verify", directory, "--threads", "1", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1000)
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return result, [line for line in lines if "ranks" not in line]


def failed(lines):
    return {(line["file"], line.get("check", "")) for line in lines if line.get("ok") is False}


class Families(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.root.cleanup()

    def copy(self, family):
        directory = os.path.join(self.root.name, family)
        shutil.copytree(os.path.join(GOLDEN, family), directory)
        return directory

    def test_all_is_right(self):
        for family in FAMILIES:
            with self.subTest(family):
                result = verify(os.path.join(GOLDEN, family), "--ranks", "1,2,4", "--json")
                self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr)
                report = json.loads(result.stdout)
                self.assertEqual(report["failed"], 0)
                self.assertGreater(report["checks"], 3 * 15)

    def test_a_wrong_logit_is_found(self):
        directory = self.copy("duo")
        change(os.path.join(directory, "forward_model.safetensors"), "case0.logits", 77, lambda x: x + 1e-4)
        result, lines = findings(directory, "--only", "forward")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(("forward_model.safetensors", "logits"), failed(lines))

    def test_a_wrong_token_is_found(self):
        for family, name in (("mdlm", "ddpm_n4"), ("gidd", "correct_grid_n8"), ("bd3lm", "first_hitting")):
            directory = self.copy(family)
            file = f"traj_{name}.safetensors"
            change(os.path.join(directory, file), "tokens", 40, lambda x: (x + 1) % 30)
            result, lines = findings(directory, "--only", "trajectories")
            self.assertNotEqual(result.returncode, 0)
            self.assertEqual(failed(lines), {(file, "wrong tokens")})

    def test_a_wrong_law_is_found(self):
        directory = self.copy("udlm")
        change(os.path.join(directory, "law_mid_n8.safetensors"), "law_f64", 5, lambda x: x + 1e-3)
        result, lines = findings(directory, "--only", "laws")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(("law_mid_n8.safetensors", "law of the next token"), failed(lines))

    def test_a_weight_that_is_no_number_is_refused(self):
        for tensor in "mlp.2.bias", "attn_qkv.weight":
            directory = self.copy("duo")
            change(os.path.join(directory, "model", "model.safetensors"), f"backbone.blocks.0.{tensor}", 7,
                   lambda x: float("nan"))
            result, lines = findings(directory, "--only", "trace")
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(f'tensor "blocks.0.{tensor}" has a value that is no finite number', lines[0]["note"])
            shutil.rmtree(directory)

    def test_a_missing_and_an_unknown_file_are_found(self):
        directory = self.copy("gidd")
        os.rename(os.path.join(directory, "traj_gidd_n4.safetensors"), os.path.join(directory, "other.safetensors"))
        result, lines = findings(directory)
        self.assertNotEqual(result.returncode, 0)
        self.assertTrue({("traj_gidd_n4.safetensors", ""), ("other.safetensors", "")} <= failed(lines))

    def refusal(self, family, edit):
        """What `millrace inspect` says of a model whose config.json is edited."""
        directory = os.path.join(self.copy(family), "model")
        edit_json(os.path.join(directory, "config.json"), edit)
        result = subprocess.run([os.path.join(BIN, "millrace"), "inspect", directory], capture_output=True, text=True,
                                timeout=100)
        self.assertNotEqual(result.returncode, 0)
        return result.stderr

    def test_a_config_that_does_not_fit_is_refused(self):
        self.assertIn('tensor "sigma_map.mlp.0.weight": shape is [16, 256]; the config asks for [129, 256]',
                      self.refusal("mdlm", lambda c: c.update(cond_dim=129)))

    def test_another_familys_tensors_are_refused(self):
        self.assertIn('shape is [128, 64]; the config asks for [127, 64]',
                      self.refusal("mdlm", lambda c: c.update(vocab_size=127)))

    def test_an_unmodulated_config_over_modulated_tensors_is_refused(self):
        self.assertIn("is no part of a bd3lm model", self.refusal("bd3lm", lambda c: c.update(adaln=False)))

    def test_missing_classes_are_refused(self):
        self.assertIn('tensor "cond_map.embedding_table.weight" is missing',
                      self.refusal("udlm", lambda c: c.update(cfg=True, cfg_num_classes=4)))

    def test_a_file_of_torch_is_sent_to_the_converter(self):
        directory = os.path.join(GOLDEN, "mdlm", "model_bin")
        result = subprocess.run([os.path.join(BIN, "millrace"), "inspect", directory], capture_output=True, text=True,
                                timeout=100)
        self.assertIn("millrace convert", result.stderr)

    def test_unknown_keys_are_refused_by_name(self):
        self.assertIn('key "window" is unknown', self.refusal("duo", lambda c: c.update(window=3)))


if __name__ == "__main__":
    if not os.path.isdir(GOLDEN):
        print("skipped: the golden vectors are not here:", GOLDEN)
        sys.exit(77)
    unittest.main()
