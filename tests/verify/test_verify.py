"""`millrace verify` on copies of the golden vectors in which something is wrong: each fault is found, and nothing else.

Environment, as CTest sets it: MILLRACE_BIN, MILLRACE_SHARED. Exits 77 (skipped) where the vectors are missing.
"""
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

BIN = os.environ["MILLRACE_BIN"]
GOLDEN = os.path.join(os.environ.get("MILLRACE_SHARED", ""), "golden/public")
FORMATS = {"F32": "<f", "F64": "<d", "I64": "<q", "U8": "<B"}


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


def edit_manifest(directory, edit):
    path = os.path.join(directory, "manifest.json")
    with open(path) as file:
        manifest = json.load(file)
    edit(manifest)
    with open(path, "w") as file:
        json.dump(manifest, file)


def verify(directory, *options):
    return subprocess.run([os.path.join(BIN, "millrace"), "verify", directory, *options], capture_output=True,
                          text=True, timeout=250)


def worker(directory, kind):
    """Exit code and findings of one kind of check, on one rank."""
    result = subprocess.run([os.path.join(BIN, "millrace-worker"), "--verify", directory, "--only", kind],
                            capture_output=True, text=True, timeout=250)
    return result, [json.loads(line) for line in result.stdout.splitlines()]


def failed(findings):
    return {(finding["file"], finding.get("check", "")) for finding in findings if finding.get("ok") is False}


class Verify(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.TemporaryDirectory()
        self.directory = os.path.join(self.root.name, "golden")
        shutil.copytree(GOLDEN, self.directory)
        for name in os.listdir(self.directory):
            os.chmod(self.path(name), 0o600)
        os.chmod(self.directory, 0o700)

    def tearDown(self):
        self.root.cleanup()

    def path(self, name):
        return os.path.join(self.directory, name)

    def findings(self, *options):
        result = verify(self.directory, "--json", *options)
        self.assertTrue(result.stdout, result.stderr)
        report = json.loads(result.stdout)
        findings = [finding for run in report["runs"] for finding in run["findings"]]
        self.assertEqual(report["checks"], len(findings))
        self.assertEqual(report["failed"], len([finding for finding in findings if not finding["ok"]]))
        self.assertEqual(result.returncode, 1 if report["failed"] else 0)
        return findings

    def test_numbers_that_are_wrong(self):
        faults = [  # file, tensor, index, change, the check that must see it
            ("forward_teacher", "case3.logits_f64", 5, lambda x: x + 1e-3, "logits, float64"),
            ("forward_student", "case2.logits", 77, lambda x: x + 1e-3, "logits"),
            ("forward_masked_student", "case4.probs", 3, lambda x: x + 1e-3, "probabilities"),
            ("forward_nano", "teacher.logits", 9, lambda x: x - 1e-3, "logits"),
            ("trace_student", "b0.gelu", 40, lambda x: x + 1e-3, "intermediates, relative"),
            ("trace_teacher", "t_emb", 3, lambda x: x + 1e-3, "intermediates, relative"),
            ("trace_masked_student", "rope_sin", 30, lambda x: x + 1e-3, "intermediates, relative"),
            ("time_grids", "n7.eps0.001.dt", 6, lambda x: x + 1e-6, "t and dt"),
            ("step_cumulative_exp1_uniform", "alpha_table.n32", 3, lambda x: x * 1.001, "alpha*h, intensity*h"),
            ("step_cumulative_exp1_masked", "n2.i0.dest_f64", 17 + 4, lambda x: x + 1e-4, "law of the destination"),
            ("step_cumulative_exp2_masked", "n1024.i511.jump_prob", 2, lambda x: x + 1e-5, "P(jump)"),
            ("step_euler_exp1_uniform", "n4.i1.u", 16 + 7, lambda x: x + 1e-3, "law of the destination"),
            ("step_euler_exp2_uniform", "n2.i1.rate_h", 1, lambda x: x + 1e-4, "rate*h"),
            ("step_euler_exp1_masked", "n1024.i511.t", 0, lambda x: x + 1e-6, "t and h"),
            ("final_step", "mask.q_f64", 1, lambda x: x + 1e-4, "law of the last step"),
            ("traj_masked_cumulative_n4", "jump_prob", 6, lambda x: 0.9, "P(jump)"),
            ("traj_student_euler_n4", "tokens", 2 * 96 + 11, lambda x: (x + 1) % 512, "wrong tokens"),
            ("traj_teacher_meta_n8", "jump_prob", 2, lambda x: x + 1e-3, "P(jump)"),
            ("draws_20000", "chain.meta.exp1.uniform.exact_f64", 0, lambda x: x + 0.05,
             "chi-square of whole texts, least p"),
        ]
        for file, tensor, index, how, _ in faults:
            change(self.path(file + ".safetensors"), tensor, index, how)
        change(self.path("expect_odd_tensors.safetensors"), "a.bf16", 100, lambda x: x + 1)
        expected = {(file + ".safetensors", check) for file, _, _, _, check in faults} | {("ckpt_odd_tensors.pth", "")}
        found = failed(self.findings("--ranks", "1"))
        self.assertEqual(expected - found, set())
        self.assertEqual({file for file, _ in found}, {file for file, _ in expected})

    def test_numbers_that_are_none(self):
        faults = [  # file, tensor, index, the check that must see a NaN there: early, and with numbers after it
            ("forward_student", "case2.logits", 0, "logits"),
            ("forward_teacher", "case3.logits_f64", 1000, "logits, float64"),
            ("forward_masked_student", "case4.probs", 3, "probabilities"),
            ("trace_student", "b0.gelu", 40, "intermediates, relative"),
            ("trace_teacher", "t_emb", 0, "intermediates, relative"),
            ("time_grids", "n7.eps0.001.dt", 2, "t and dt"),
            ("step_cumulative_exp1_uniform", "alpha_table.n32", 3, "alpha*h, intensity*h"),
            ("step_cumulative_exp2_masked", "n1024.i511.jump_prob", 2, "P(jump)"),
            ("step_euler_exp2_uniform", "n2.i1.rate_h", 1, "rate*h"),
            ("step_euler_exp1_uniform", "n4.i1.u", 16 + 7, "law of the destination"),
            ("final_step", "mask.q_f64", 1, "law of the last step"),
            ("traj_masked_cumulative_n4", "jump_prob", 6, "P(jump)"),
            ("traj_teacher_meta_n8", "jump_prob", 0, "P(jump)"),
            ("draws_20000", "chain.meta.exp1.uniform.exact_f64", 0, "chi-square of whole texts, least p"),
        ]
        for file, tensor, index, _ in faults:
            change(self.path(file + ".safetensors"), tensor, index, lambda _: math.nan)
        expected = {(file + ".safetensors", check) for file, _, _, check in faults}
        found = failed(self.findings("--ranks", "1"))
        self.assertEqual(expected - found, set())
        self.assertEqual({file for file, _ in found}, {file for file, _ in expected})

    def test_what_may_be_overwritten(self):
        change(self.path("final_step.safetensors"), "mask.x_out_argmax", 2, lambda x: x + 1)
        result, findings = worker(self.directory, "final_step")
        self.assertEqual((result.returncode, failed(findings)),
                         (1, {("final_step.safetensors", "wrongly written or kept")}))

    def test_files_that_are_not_there_or_not_known(self):
        os.remove(self.path("traj_student_cumulative_n2.safetensors"))
        os.rename(self.path("weights_nano_teacher.safetensors"), self.path("weights_nano_other.safetensors"))
        os.remove(self.path("ckpt_nano_full.pth"))
        with open(self.path("notes.txt"), "w") as file:
            file.write("of no kind")
        with open(self.path("trace_teacher.safetensors"), "r+b") as file:
            file.truncate(5000)
        with open(self.path("ckpt_main_step_190000.pth"), "r+b") as file:
            file.seek(1000000)
            file.write(b"\x01\x02\x03\x04")
        found = {file for file, _ in failed(self.findings("--ranks", "2"))}
        self.assertEqual(found, {
            "traj_student_cumulative_n2.safetensors", "weights_nano_other.safetensors",
            "weights_nano_teacher.safetensors", "ckpt_nano_full.pth", "notes.txt", "trace_teacher.safetensors",
            "ckpt_main_step_190000.pth", "forward_nano.safetensors", "ckpt_nano_cuda_origmod.pth"
        } | ({"ckpt_nano_pretrain.pth", "ckpt_nano_torch2_layout.pth", "ckpt_nano_module_prefix.pth"} & found))

    def test_a_manifest_that_says_something_else(self):
        edit_manifest(self.directory, lambda manifest: manifest["models"]["teacher"].update(n_heads=8))
        result, findings = worker(self.directory, "weights")
        self.assertEqual((result.returncode, {file for file, _ in failed(findings)}),
                         (1, {"weights_teacher.safetensors"}))
        edit_manifest(self.directory, lambda manifest: manifest["models"]["student"].update(ln_eps=1e-6))
        result, findings = worker(self.directory, "trace")
        self.assertIn("ln_eps", [f["note"] for f in findings if f.get("file") == "trace_student.safetensors"][0])
        edit_manifest(self.directory,
                      lambda manifest: manifest["trajectories"]["teacher_meta_n8"].update(solver="heun"))
        result, findings = worker(self.directory, "trajectories")
        self.assertIn("heun", [f["note"] for f in findings if f.get("file") == "traj_teacher_meta_n8.safetensors"][0])

    def test_a_directory_that_is_none(self):
        os.remove(self.path("manifest.json"))
        result = verify(self.directory, "--ranks", "1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("manifest.json", result.stderr)
        self.assertEqual(verify(self.directory, "--ranks", "0").returncode, 2)
        self.assertEqual(subprocess.run([os.path.join(BIN, "millrace"), "verify"], capture_output=True).returncode, 2)


if __name__ == "__main__":
    if not os.path.isdir(GOLDEN):
        print("skipped: the golden vectors are not here:", GOLDEN)
        sys.exit(77)
    unittest.main()
