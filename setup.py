"""What pyproject.toml cannot say: the kernels in C++, which a machine without a compiler does without.

``optional`` lets an installation go on where compiling fails; NumPy does the work then. GDNP_SANITIZE=1 adds
the checks of AddressSanitizer and UBSan.
"""

import os
import platform
import sys
import sysconfig
from pathlib import Path

import nanobind
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

STABLE = sys.version_info >= (3, 12) and not sysconfig.get_config_var("Py_GIL_DISABLED")
X86 = platform.machine().lower() in ("x86_64", "amd64")
SANITIZE = bool(os.environ.get("GDNP_SANITIZE"))
NANOBIND = Path(nanobind.include_dir()).parent

# Nothing is linked with -ffast-math, which would flush denormals to zero in the whole process.
if sys.platform == "win32":
    PLAIN, LINK = ["/std:c++17", "/O2", "/EHsc", "/fp:precise"], []
    LEVELS = {"avx2": ["/arch:AVX2"], "avx512": ["/arch:AVX512"]}
else:
    PLAIN = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-fno-strict-aliasing", "-Wno-psabi"]
    PLAIN += ["-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
    AVX2, LINK = ["-mavx2", "-mfma", "-ffp-contract=fast"], []
    WIDE = ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512", "-DGDNP_WIDTH=8"]
    LEVELS = {"avx2": AVX2, "avx512": [*AVX2, *WIDE]}
    if SANITIZE:
        LINK = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        PLAIN += [*LINK, "-g1", "-fno-omit-frame-pointer"]
HEADERS = [str(path) for path in sorted(Path("cpp").glob("*.h"))]


class BuildKernels(build_ext):
    """Compiles one file several times: for every processor of the platform, and for newer ones."""

    def build_extension(self, ext):
        """With the objects for newer processors among those that are linked."""
        for level, flags in LEVELS.items() if X86 else ():
            ext.extra_objects += self.compiler.compile(
                ["cpp/level.cpp"],
                os.path.join(self.build_temp, level),
                macros=[*ext.define_macros, ("GDNP_LEVEL", level)],
                include_dirs=ext.include_dirs,
                extra_postargs=[*ext.extra_compile_args, *flags],
                depends=HEADERS,
            )
        super().build_extension(ext)


class TaggedWheel(bdist_wheel):
    """One wheel for every Python from 3.12 on, where the kernels use the stable ABI."""

    def finalize_options(self):
        """With the oldest Python that the wheel is for."""
        if STABLE:
            self.py_limited_api = "cp312"
        super().finalize_options()


kernels = Extension(
    "gdnp._kernels",
    ["cpp/module.cpp", "cpp/level.cpp", "cpp/nanobind.cpp"],
    include_dirs=[
        "cpp",
        str(NANOBIND / "include"),
        str(NANOBIND / "src"),
        str(NANOBIND / "ext" / "robin_map" / "include"),
    ],
    define_macros=[("NDEBUG", "1"), ("NB_COMPACT_ASSERTIONS", "1")]
    + [("GDNP_X86", "1")] * X86
    + [("Py_LIMITED_API", "0x030C0000")] * STABLE,
    extra_compile_args=PLAIN,
    extra_link_args=LINK,
    depends=HEADERS,
    py_limited_api=STABLE,
    language="c++",
    optional=True,
)

setup(ext_modules=[kernels], cmdclass={"build_ext": BuildKernels, "bdist_wheel": TaggedWheel})
