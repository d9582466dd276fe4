"""The part of the build that pyproject.toml cannot say: the C extension and the wheel's tag."""

import sys
import sysconfig

from setuptools import setup

# One wheel a platform for every CPython from 3.11 on. Free-threaded builds have no limited API, and
# PyPy has its own.
abi3 = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["csrc/ffi_build.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if abi3 else {},
)
