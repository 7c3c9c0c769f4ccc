"""The public conformance suite, every optional sample filled in. What ipykernel 7.4 passes here, we pass."""

from __future__ import annotations

import os
from pathlib import Path

import jupyter_kernel_test
import pytest

from zmqkernel import kernelspec


@pytest.fixture(scope="class", autouse=True)
def spec(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        root: Path = tmp_path_factory.mktemp("jupyter")
        for name in ("HOME", "IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
            directory = root / name.lower()
            directory.mkdir()
            patch.setenv(name, str(directory))
        kernelspec.install()
        yield


class TestConformance(jupyter_kernel_test.KernelTests):
    kernel_name = os.environ.get("ZMQKERNEL_TEST_KERNEL", kernelspec.NAME)  # another name compares another kernel
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('oops', file=sys.stderr)"
    completion_samples = [
        {"text": "import zipf", "matches": {"zipfile"}},
        {"text": "imp"},
        {"text": "prin"},
        {"text": "import os; os.path.isabs"},
    ]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n", "%time x = 1", "!ls"]
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2", "if True:", "x = [1,"]
    invalid_code_samples = ["import = 7q", "x = )"]
    code_page_something = "zip?"
    code_generate_error = "raise RuntimeError('as asked')"
    code_execute_result = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
        {"code": "'abc'", "result": "'abc'"},
    ]
    code_display_data = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))", "mime": "text/latex"},
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


class TestWelcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = os.environ.get("ZMQKERNEL_TEST_KERNEL", kernelspec.NAME)
    support_iopub_welcome = True
