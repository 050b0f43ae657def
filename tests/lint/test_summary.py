"""summary.py at the end of a real run of ctest: it says why tests were skipped, and fails for what its list does not allow.
usage: test_summary.py -v"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

SKIPS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "summary.py")
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(little NONE)
enable_testing()
add_test(NAME good COMMAND true)
add_test(NAME bad COMMAND sh -c "test -e ${CMAKE_BINARY_DIR}/mended")
add_test(NAME slow COMMAND sleep 0)
add_test(NAME device COMMAND sh -c "test -e ${CMAKE_BINARY_DIR}/device && exit 0; echo skipped: no device here; exit 77")
add_test(NAME silent COMMAND sh -c "test -e ${CMAKE_BINARY_DIR}/device && exit 0; exit 77")
add_test(NAME parts COMMAND sh -c "echo \\"test_a (x.Y) ... skipped 'no reader'\\"; echo \\"test_b (x.Y) ... ok\\"")
set_tests_properties(device silent PROPERTIES SKIP_RETURN_CODE 77)
"""


class Skips(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.source, self.build = folder.name, os.path.join(folder.name, "build")
        self.write("CMakeLists.txt", PROJECT)
        subprocess.run(["cmake", "-G", "Ninja", "-S", self.source, "-B", self.build], check=True, stdout=subprocess.DEVNULL)
        self.write("build/CTestCustom.cmake", f'set(CTEST_CUSTOM_POST_TEST "\\"{sys.executable}\\" -B \\"{SKIPS}\\" '
                   f'\\"{self.build}\\" \\"{self.source}/skips.txt\\"")\n')

    def write(self, name, text):
        with open(os.path.join(self.source, name), "w", encoding="utf-8") as file:
            file.write(text)

    def ctest(self, *arguments, skips):
        self.write("skips.txt", skips)
        done = subprocess.run(["ctest", *arguments], cwd=self.build, capture_output=True, text=True)
        return done.returncode, done.stdout

    def last_line(self, output):
        return re.findall(r"^\d+ passed.*", output, re.M)[-1]

    def test_what_the_list_allows(self):
        self.write("build/mended", "")
        code, output = self.ctest(skips="# why\ndevice|silent  no device|.no reason\nparts  no reader\n")
        self.assertEqual(code, 0, output)
        self.assertIn("    device: no device here\n", output)
        self.assertIn("    parts (a part): no reader\n", output)
        self.assertTrue(output.endswith("4 passed, 0 failed, 2 skipped\n"), output)

    def test_what_it_does_not_allow(self):
        self.write("build/mended", "")
        code, output = self.ctest(skips="device  no driver\nparts  no reader\nsilenced  .*\n")
        self.assertNotEqual(code, 0, output)
        self.assertIn('device must not be skipped with "no device here"', output)
        self.assertIn('silent must not be skipped with "(no reason given)"', output)
        self.assertEqual(self.last_line(output), "4 passed, 2 failed, 0 skipped")

    def test_nothing_is_added_to_a_list_of_tests(self):
        self.ctest(skips="")
        code, output = self.ctest("--show-only=json-v1", skips="")
        self.assertEqual(code, 0, output)
        self.assertEqual(len(json.loads(output)["tests"]), 6)

    def test_a_failure_stays_one(self):
        code, output = self.ctest(skips="device|silent  .*\nparts  no reader\n")
        self.assertNotEqual(code, 0, output)
        self.assertEqual(self.last_line(output), "3 passed, 1 failed, 2 skipped")

    def test_lists_of_an_older_run_count_for_nothing(self):
        self.ctest(skips="")
        self.write("build/mended", "")
        self.write("build/device", "")
        code, output = self.ctest("-E", "parts", skips="")
        self.assertEqual(code, 0, output)
        self.assertTrue(output.endswith("5 passed, 0 failed, 0 skipped\n"), output)


if __name__ == "__main__":
    unittest.main()
