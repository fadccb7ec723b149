"""python3 -m unittest discover -s tests/opens: what is compared, and the reasons given, without a dump."""

import unittest

import readers

WARNED = """
WARNING: /tmp/dump.incomplete:
         This dumpfile is incomplete.  This may cause the crash session
         to fail entirely.
   NOTE: This dumpfile may be analyzed with the --zero_excluded command
         line option.

      KERNEL: vmlinux
    DUMPFILE: /tmp/dump.incomplete  [INCOMPLETE]
        CPUS: 2
"""


def answers(text, opened=True, error=None):
    return readers.Answers(text, opened, error)


class Comparison(unittest.TestCase):
    def test_only_what_crash_says_of_the_file_is_left_out(self):
        self.assertEqual(readers.without_file(WARNED), "      KERNEL: vmlinux\n        CPUS: 2\n")

    def test_equal_answers_need_no_reason(self):
        self.assertIsNone(answers("a\nb\n").differ(answers("a\nb\n")))

    def test_the_reader_s_own_error_comes_first(self):
        reason = answers("", False, "no page").differ(answers("a\n"))
        self.assertEqual(reason, "no page")

    def test_an_error_among_the_answers_is_the_reason(self):
        reason = answers("a\nx\nbt: cannot read\n").differ(answers("a\nb\n"))
        self.assertEqual(reason, "2 other lines, first bt: cannot read")

    def test_missing_lines_are_counted(self):
        self.assertEqual(answers("a\n").differ(answers("a\nb\n")), "lines missing: 1")


if __name__ == "__main__":
    unittest.main()
