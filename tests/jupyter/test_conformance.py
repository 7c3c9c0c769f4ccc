"""The public conformance suite through a session: what the bare kernel passes, this passes."""

from __future__ import annotations

from pathlib import Path

import jupyter_kernel_test
import pytest

from tests.kernel import test_jupyter_kernel_test as bare
from zmqkernel import kernelspec


@pytest.fixture(scope="class", autouse=True)
def spec(class_home: Path) -> None:
    kernelspec.install()


class TestConformance(bare.TestConformance):
    kernel_name = kernelspec.SESSION_NAME


class TestWelcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = kernelspec.SESSION_NAME
    support_iopub_welcome = True
