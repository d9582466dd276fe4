"""Tells cffi how to build ``fastloop._core`` from csrc/; run by setup.py, not part of the wheel.

The declarations are the region between the cdef marks of fastloop.h itself, so there is no second
copy of them that could drift from the first.

Environment: FASTLOOP_DEBUG=1 builds without optimisation, FASTLOOP_SANITIZE=address,undefined (or
thread) with sanitizers, FASTLOOP_WERROR=1 makes every warning in csrc/ an error, FASTLOOP_ZLIB=0
leaves the compression of WebSocket out, as happens by itself where zlib has no header.
"""

import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path

from cffi import FFI
from setuptools._distutils.ccompiler import new_compiler
from setuptools._distutils.errors import CompileError, LinkError
from setuptools._distutils.sysconfig import customize_compiler

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    # A mistake in the binding must fail the build, not the first call.
    "-Werror=implicit-function-declaration",
    "-Werror=int-conversion",
    "-Werror=incompatible-pointer-types",
]

# Only fl_step() and fl_watch_wait() wait, so only they release the GIL. Every other call is short,
# and a release is a chance to lose the GIL to a busy thread for a whole switch interval. PyPy has
# its own ways.
SOURCE = r"""
#include "fastloop.h"

#ifndef PYPY_VERSION
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }

static intptr_t step_without_gil(fl_loop *loop, const char *outbox, size_t len, int timeout_ms)
{
    PyThreadState *state = PyEval_SaveThread();
    intptr_t result = fl_step(loop, outbox, len, timeout_ms);
    PyEval_RestoreThread(state);
    return result;
}
#define fl_step step_without_gil

static int watch_wait_without_gil(fl_watch *watch)
{
    PyThreadState *state = PyEval_SaveThread();
    int result = fl_watch_wait(watch);
    PyEval_RestoreThread(state);
    return result;
}
#define fl_watch_wait watch_wait_without_gil
#endif

/* What follows is written by cffi, whose style is not ours to warn about. */
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wcast-function-type"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
"""


def declarations(header: Path) -> str:
    """The text between the cdef marks of fastloop.h."""
    region = re.search(
        r"/\* cdef: begin \*/(.*)/\* cdef: end \*/", header.read_text(encoding="utf-8"), re.DOTALL
    )
    if region is None:
        raise SystemExit(f"{header}: the cdef marks are missing")
    return region[1]


def compile_flags() -> list[str]:
    """Flags of the compiler, after those of the interpreter's own build."""
    flags = ["-std=c11", "-D_GNU_SOURCE", "-O3", "-pthread", "-fvisibility=hidden", *WARNINGS]
    if os.environ.get("FASTLOOP_WERROR") == "1":
        flags.append("-Werror")
    if os.environ.get("FASTLOOP_DEBUG") == "1":
        flags += ["-O0", "-g3", "-UNDEBUG"]
    return flags + sanitizers()


def sanitizers() -> list[str]:
    """Flags of compiler and linker for the sanitizers that were asked for."""
    names = os.environ.get("FASTLOOP_SANITIZE", "")
    if not names:
        return []
    # Without no-recover a finding of UBSan would be a line on stderr and a passing test.
    return [
        f"-fsanitize={names}",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
        "-O1",
        "-g",
    ]


def limited_api() -> list[tuple[str, str | None]]:
    """The floor of the stable ABI, where this interpreter has one."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return []
    return [("Py_LIMITED_API", "0x030B0000")]


def has_zlib() -> bool:
    """Whether WebSocket can have compression: a program with zlib can be built here."""
    if os.environ.get("FASTLOOP_ZLIB") == "0":
        return False
    compiler = new_compiler()
    customize_compiler(compiler)
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "zlib.c")
        source.write_text("#include <zlib.h>\nint main(void) { return zlibVersion() == 0; }\n")
        try:
            objects = compiler.compile([str(source)], output_dir="/")
            compiler.link_executable(objects, str(Path(directory, "zlib")), libraries=["z"])
        except (CompileError, LinkError):
            print("no zlib: WebSocket will have no compression", file=sys.stderr)
            return False
    return True


def builder() -> FFI:
    """The description that cffi's setuptools hook looks for; paths are relative to the project."""
    csrc = Path(__file__).parent
    here = Path(os.path.relpath(csrc))

    def named(pattern: str) -> list[str]:
        return sorted((here / path.name).as_posix() for path in csrc.glob(pattern))

    zlib = has_zlib()
    ffi = FFI()
    ffi.cdef(declarations(csrc / "fastloop.h"))
    ffi.set_source(
        "fastloop._core",
        SOURCE,
        sources=named("*.c"),
        depends=[*named("*.h"), *named("*.py")],
        include_dirs=[here.as_posix()],
        define_macros=[*limited_api(), *([] if zlib else [("FL_NO_ZLIB", None)])],
        libraries=["z"] if zlib else [],
        extra_compile_args=compile_flags(),
        extra_link_args=["-pthread", *sanitizers()],
    )
    return ffi


ffibuilder = builder()
