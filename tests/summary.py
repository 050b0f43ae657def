"""What did not run, and why: CTest starts this at the end of every run (CTestCustom.cmake, made by CMakeLists.txt here).

It prints each test, or part of one, that was skipped, with the sentence that the test gave. It fails, and ctest with it,
when tests/skips.txt does not allow that test to be skipped for that reason. So nothing falls silent. After a long run it
names the tests that took longest, because they are what the next minute can be saved of.
usage: summary.py BUILD_DIRECTORY SKIPS_FILE
"""
import os
import re
import sys

LONG_RUN_SECONDS = 60
N_SLOWEST = 8


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def outputs(log):
    """{test: its output}"""
    return dict(re.findall(r"^\d+/\d+ Testing: (\S+)\n.*?^Output:\n-+\n(.*?)^<end of output>", log, re.M | re.S))


def listed(folder, name):
    """The tests in a list that CTest writes at the end of a run; an older list is of an older run."""
    path = os.path.join(folder, name)
    if not os.path.exists(path) or os.stat(path).st_mtime_ns < os.stat(f"{folder}/LastTest.log.tmp").st_mtime_ns:
        return set()
    return set(re.findall(r"^\d+:(\S+)$", read(path), re.M))


def slowest(log):
    """[(seconds, test)], the longest first."""
    found = re.findall(r"^\d+/\d+ Testing: (\S+)\n.*?^Test time = +([\d.]+) sec", log, re.M | re.S)
    return sorted(((float(seconds), test) for test, seconds in found), reverse=True)


def print_slowest(log):
    times = slowest(log)
    if sum(seconds for seconds, _ in times) >= LONG_RUN_SECONDS:
        print("\nSlowest: " + ", ".join(f"{test} {seconds:.0f} s" for seconds, test in times[:N_SLOWEST]))


def reason_of(output):
    found = re.search(r"skipped: *(.+)", output)
    return found.group(1).strip() if found else "(no reason given)"


def parts(output):
    """The reasons of unittest's cases that were skipped in a test that ran."""
    return [reason for _, reason in re.findall(r"\.\.\. skipped (['\"])(.*)\1$", output, re.M)]


def rules(path):
    """[(test, what its reason must begin with)]"""
    lines = [line for line in read(path).splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(re.split(r"\s+", line.strip(), maxsplit=1)) for line in lines]


def allowed(found, skip):
    return any(re.fullmatch(name, skip[0]) and re.match(reason, skip[1]) for name, reason in found)


def report(build, skips_file):
    folder = os.path.join(build, "Testing/Temporary")
    log = read(f"{folder}/LastTest.log.tmp") if os.path.exists(f"{folder}/LastTest.log.tmp") else ""
    output_of = outputs(log)
    if not output_of: # ctest was asked for its list of tests only
        return 0
    skipped = listed(folder, "LastTestsDisabled.log") & set(output_of)
    failed = listed(folder, "LastTestsFailed.log") & set(output_of)
    skips = [(test, reason_of(output)) for test, output in output_of.items() if test in skipped]
    skips += [(test, reason) for test, output in output_of.items() if test not in skipped for reason in parts(output)]
    found = rules(skips_file)
    wrong = [skip for skip in skips if not allowed(found, skip)]
    if skips:
        print("\nSkipped, and why:")
    for test, reason in skips:
        print(f"    {test}{'' if test in skipped else ' (a part)'}: {reason}")
    for test, reason in wrong:
        print(f"Not in tests/skips.txt: {test} must not be skipped with \"{reason}\"")
    print_slowest(log)
    refused = {test for test, _ in wrong} - failed
    n_passed = len(output_of) - len(failed) - len((skipped | refused) - failed)
    print(f"{n_passed} passed, {len(failed | refused)} failed, {len(skipped - refused)} skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(report(sys.argv[1], sys.argv[2]))
