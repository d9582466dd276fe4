"""Rules of the source that no compiler checks: levels, banned calls, one truth for the binding."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from fastloop._ffi import lib, strerror

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
SOURCES = sorted(CSRC.glob("*.[ch]"))
HEADERS = [path for path in SOURCES if path.suffix == ".h"]
PACKAGE = sorted((ROOT / "fastloop").rglob("*.py"))

LONGEST = 500
BANNED = {
    *("printf", "fprintf", "vprintf", "sprintf", "vsprintf", "puts", "perror"),  # it does not talk,
    *("abort", "exit", "_exit", "assert"),  # nor end its host,
    *("strcpy", "strcat", "gets", "strtok", "alloca"),  # nor write where it did not measure,
    *("setlocale", "signal"),  # nor change what belongs to the process
}


def code(text: str) -> str:
    """C without its comments, and with strings emptied; lines stay where they are."""

    def blank(match: re.Match[str]) -> str:
        return '""' if match[0][0] == '"' else "\n" * match[0].count("\n")

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def level(header: Path) -> int:
    """The level that a header's opening comment states."""
    opening = header.read_text().split("*/")[0]
    found = re.search(r"\bLevel (\d)\b", opening)
    assert found, f"{header.name}: the opening comment names no level"
    return int(found[1])


LEVELS = {path.name: level(path) for path in HEADERS}


def own_level(source: Path) -> int:
    """That of a header; of a .c that of the header it implements (poller_epoll.c: poller.h)."""
    names = source.stem.split("_")
    for n in range(len(names), 0, -1):
        header = "_".join(names[:n]) + ".h"
        if header in LEVELS:
            return LEVELS[header]
    return max(LEVELS.values())


def includes(source: Path) -> list[str]:
    """Headers of ours that it includes."""
    return re.findall(r'^\s*#\s*include "([^"]+)"', source.read_text(), re.MULTILINE)


def region() -> str:
    """What is between the cdef marks, comments removed."""
    text = (CSRC / "fastloop.h").read_text()
    return code(text.split("/* cdef: begin */")[1].split("/* cdef: end */")[0])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
class TestC:
    def test_it_includes_only_what_lies_below(self, source: Path) -> None:
        mine = own_level(source)
        for name in includes(source):
            assert name in LEVELS, f"{name} is no header of csrc/"
            if source.suffix == ".h" and name != "base.h":
                assert LEVELS[name] < mine, f"{name} is not of a lower level than {source.name}"
            else:
                assert LEVELS[name] <= mine, f"{name} is of a higher level than {source.name}"

    def test_it_knows_no_python(self, source: Path) -> None:
        assert "Python.h" not in code(source.read_text())

    def test_it_calls_nothing_banned(self, source: Path) -> None:
        calls = set(re.findall(r"\b(\w+)\s*\(", code(source.read_text())))
        assert not calls & BANNED

    def test_it_is_short_enough_to_read(self, source: Path) -> None:
        assert len(source.read_text().splitlines()) < LONGEST

    def test_it_opens_with_a_comment_that_names_it(self, source: Path) -> None:
        assert source.read_text().startswith(f"/* {source.name} -- ")

    def test_it_has_no_variable_that_all_share(self, source: Path) -> None:
        # At file level only functions, types, constants and declarations; a function's body is
        # indented, so a variable in column one is a global.
        for line in code(source.read_text()).splitlines():
            if re.match(r"[A-Za-z]", line) and line.endswith((";", "= {")) and "(" not in line:
                assert re.match(
                    r"(static )?(extern )?const\b|typedef\b|struct \w+;|enum\b", line
                ), line

    def test_a_static_inside_a_function_is_const(self, source: Path) -> None:
        for line in re.findall(r"^\s+static [^\n(]*[;={]", code(source.read_text()), re.MULTILINE):
            assert line.strip().startswith("static const"), line


class TestBinding:
    def test_the_region_needs_no_preprocessor(self) -> None:
        for line in region().splitlines():
            if "#" in line:
                assert re.fullmatch(r"\s*#define FL_[A-Z]+ +-?[0-9]+\s*", line), line

    def test_the_region_uses_nothing_that_cffi_cannot_read(self) -> None:
        assert not re.search(r"\binline\b|__attribute__|_Static_assert|\bbool\b", region())

    def test_the_typed_stub_has_the_names_of_the_header(self) -> None:
        text = region()
        names = set(re.findall(r"#define (FL_[A-Z]+)", text))
        for body in re.findall(r"enum \w+ \{(.*?)\}", text, re.DOTALL):
            names |= set(re.findall(r"\bFL_[A-Z_]+\b", body))
        names |= set(re.findall(r"\b(fl_\w+)\(", text))
        assert names == stub("Lib")

    def test_every_error_code_has_words_of_its_own(self) -> None:
        codes = [getattr(lib, name) for name in stub("Lib") if re.match(r"FL_E[A-Z]+$", name)]
        assert len(codes) > 5
        assert len({strerror(code) for code in codes}) == len(codes)


def stub(name: str) -> set[str]:
    """Names that a class of _core.pyi declares."""
    tree = ast.parse((ROOT / "fastloop/_core.pyi").read_text())
    (found,) = [each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name]
    names = {each.name for each in found.body if isinstance(each, ast.FunctionDef)}
    for each in found.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            names.add(each.target.id)
    return names


@pytest.mark.parametrize("module", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
class TestPython:
    def test_only_one_module_imports_the_core(self, module: Path) -> None:
        imports = re.findall(r"^\s*(?:from|import)\s+fastloop\._core\b", module.read_text(), re.M)
        assert len(imports) == (module.name == "_ffi.py")

    def test_it_is_short_enough_to_read(self, module: Path) -> None:
        assert len(module.read_text().splitlines()) <= 350

    def test_it_opens_with_a_docstring(self, module: Path) -> None:
        assert ast.get_docstring(ast.parse(module.read_text()))


def test_the_rules_would_notice() -> None:
    assert code('x("printf(" /* abort( */); // exit(') == 'x("" ); '
    assert {path.name for path in SOURCES} > {"loop.c", "fastloop.h", "poller_epoll.c"}
    assert own_level(CSRC / "poller_epoll.c") == LEVELS["poller.h"]
