"""Each check of this folder finds the fault that it is there for, in a small tree that has it. usage: test_checks.py -v"""
import json
import os
import subprocess
import tempfile
import unittest

import circles
import layers
import references
import shape

TABLE = """# A tree

## The tree

| place | what | may use |
|---|---|---|
| `common/` | below | |
| `proto/` | messages | |
| `common/rpc/` | the wire | `common`, `proto`, gRPC |
| `worker/` | above | `common` |
| `worker/main.c` | its main function | `common`, `common/rpc`, `worker` |
| `docs/` | words | |

## The end
"""


class Checks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = self.folder.name
        for place in ("common/rpc", "proto", "worker", "docs"):
            os.makedirs(os.path.join(self.root, place))
        self.write("ARCHITECTURE.md", TABLE)
        self.write("worker/main.c", '#include "worker/step.h"\n#include "common/rpc/call.h"\n')
        self.write("worker/step.h", self.header("worker/step.h", '#include "common/a.h"\n'))
        self.write("common/a.h", self.header("common/a.h"))
        self.write("common/rpc/call.h", self.header("common/rpc/call.h", "#include <grpc/grpc.h>\n"))

    def write(self, path, text):
        with open(os.path.join(self.root, path), "w", encoding="utf-8") as file:
            file.write(text)

    def header(self, path, text=""):
        guard = "MILLRACE_" + path.upper().replace("/", "_").replace(".", "_")
        return f"#ifndef {guard}\n#define {guard}\n\n{text}\n#endif\n"

    def finds(self, wrong, *sentences):
        self.assertEqual(len(wrong), len(sentences), wrong)
        for found, sentence in zip(wrong, sentences):
            self.assertIn(sentence, found)


class Layers(Checks):
    def test_a_tree_without_fault(self):
        self.finds(layers.check(self.root))

    def test_an_include_that_its_place_may_not_use(self):
        self.write("worker/step.c", '#include "common/rpc/call.h"\n')
        self.finds(layers.check(self.root), "worker/step.c:1: worker may not use common/rpc")

    def test_a_library_where_it_does_not_belong(self):
        self.write("common/a.c", "#include <stdio.h>\n#include <grpc/grpc.h>\n")
        self.finds(layers.check(self.root), "common/a.c:2: common may not use gRPC")

    def test_an_include_that_is_no_path_from_the_root(self):
        self.write("worker/step.c", '#include "step.h"\n')
        self.finds(layers.check(self.root), 'worker/step.c:1: "step.h" is not a path')

    def test_headers_that_include_each_other(self):
        self.write("common/a.h", self.header("common/a.h", '#include "common/b.h"\n'))
        self.write("common/b.h", self.header("common/b.h", '#include "common/a.h"\n'))
        self.finds(layers.check(self.root), "include each other: common/a.h, common/b.h")

    def test_a_row_that_uses_one_below_it(self):
        self.write("ARCHITECTURE.md", TABLE.replace("| below | |", "| below | `worker` |"))
        self.finds(layers.check(self.root), "common may use worker, which is neither a row above it nor a library")

    def test_folders_without_a_row_and_rows_without_a_folder(self):
        os.makedirs(os.path.join(self.root, "cli"))
        self.write("cli/main.c", "")
        self.write("ARCHITECTURE.md", TABLE.replace("| `docs/`", "| `doc/`"))
        self.finds(layers.check(self.root), "there is no doc", "cli/ has no row", "docs/ has no row",
                   "cli/main.c: its folder has no row")


class Circles(Checks):
    def build(self, **sources):
        """Compiles common/NAME.c as CMake would."""
        build = os.path.join(self.root, "build")
        objects = os.path.join(build, "common/CMakeFiles/millrace_common.dir")
        os.makedirs(objects)
        for name, text in sources.items():
            self.write(f"common/{name}.c", text)
            subprocess.run(["cc", "-c", os.path.join(self.root, f"common/{name}.c"),
                            "-o", os.path.join(objects, f"{name}.c.o")], check=True)
        return circles.check(build, self.root)

    def test_calls_in_one_direction(self):
        self.finds(self.build(a="void b(void); void a(void) { b(); }", b="void b(void) {}"))

    def test_a_circle_of_three_files(self):
        self.finds(self.build(a="void b(void); void a(void) { b(); }", b="void c(void); void b(void) { c(); }",
                              c="void a(void); void c(void) { a(); }"),
                   "call each other: common/a.c, common/b.c, common/c.c", "a.c calls b of", "b.c calls c of",
                   "c.c calls a of")

    def test_objects_that_were_left_behind(self):
        build = os.path.join(self.root, "build")
        self.build(a="void b(void); void c(void); void a(void) { b(); c(); }", b="void a(void); void b(void) { a(); }",
                   c="void c(void) {}")
        self.write("build/compile_commands.json", json.dumps(
            [{"command": f"cc -o {os.path.relpath(os.path.join(folder, name), build)} -c x.c"}
             for folder, _, names in os.walk(build) for name in names if name != "b.c.o"]))
        self.finds(circles.check(build, self.root))

    def test_no_build(self):
        self.finds(circles.check(self.root, self.root), "build first")


class Shape(Checks):
    def function(self, n):
        return "static int f(int a,\n             int b)\n{\n" + "    a++;\n" * (n - 4) + "}\n"

    def test_a_function_of_sixty_lines_and_one_of_more(self):
        self.write("common/a.c", "int x;\n\n/* A comment. */\n" + self.function(60))
        self.finds(shape.check(self.root))
        self.write("common/a.c", "int x;\n\n/* A comment. */\n" + self.function(61))
        self.finds(shape.check(self.root), "common/a.c:4: a function of 61 lines")

    def test_a_table_counts_as_one_line(self):
        table = "    static const int rows[] = {\n" + "        1,\n" * 80 + "    };\n"
        self.write("common/a.c", "static int f(void)\n{\n" + table + "    return rows[0];\n}\n")
        self.finds(shape.check(self.root))

    def test_columns_are_characters(self):
        self.write("common/a.c", "/* " + "ä" * 104 + " */\n")
        self.finds(shape.check(self.root))
        self.write("common/a.c", "/* " + "ä" * 105 + " */\n")
        self.finds(shape.check(self.root), "common/a.c:1: 111 columns")

    def test_an_include_guard_of_another_path(self):
        self.write("worker/step.h", self.header("worker/engine/step.h"))
        self.finds(shape.check(self.root), "worker/step.h:1: its include guard is not MILLRACE_WORKER_STEP_H")

    def test_a_test_that_sleeps(self):
        os.makedirs(os.path.join(self.root, "tests"))
        self.write("common/a.c", "int f(void)\n{\n    return nanosleep(0, 0);\n}\n")
        self.write("tests/a.c", "int f(void)\n{\n    return usleep(1);\n}\n")
        self.finds(shape.check(self.root), "tests/a.c:3: a test waits for conditions")


class References(Checks):
    def test_files_that_are_there_by_path_end_or_place_beside(self):
        self.write("worker/step.c", "/* worker/step.h, step.h, rpc/call.h; FILE.c. */\nconst char *s = \"no.c\";\n")
        self.write("docs/a.md", "See [the tree](../ARCHITECTURE.md), `common/a.h`.\n")
        self.finds(references.check(self.root))

    def test_files_that_are_not_there(self):
        self.write("worker/step.c", "int x; /* see\n * worker/stop.h. */\n")
        self.write("docs/a.md", "See [the tree](TREE.md) and `common/b.h`.\n")
        self.write("docs/run.sh", "#!/bin/sh\n# Runs all (stop.py).\necho none.py\n")
        self.finds(references.check(self.root), "docs/a.md:1: names TREE.md", "docs/a.md:1: names common/b.h",
                   "docs/run.sh:2: names stop.py", "worker/step.c:2: names worker/stop.h")

    def test_a_document_that_readers_do_not_have(self):
        self.write("worker/step.c", "/* The forward pass (spec, 5). */\n")
        self.finds(references.check(self.root), "worker/step.c:1: speaks of a document")


if __name__ == "__main__":
    unittest.main()
