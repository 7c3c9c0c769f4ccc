"""Rich display: what IPython formats, on its way out as execute_result, display_data and clear_output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher

from ..protocol.messages import ClearOutput
from .ownership import owner

if TYPE_CHECKING:
    from .dispatch import Kernel
    from .shell import ZMQInteractiveShell


class OutletDisplayHook(DisplayHook):
    """The value of a cell's last expression."""

    shell: ZMQInteractiveShell  # pyright: ignore[reportIncompatibleVariableOverride]
    exec_result: Any = None
    """Not a trait: it is set twice for every cell, and a trait's checks would cost as much as the rest of a small one."""

    def quiet(self) -> bool:
        """Does the cell end in a semicolon? Tokenizing is dear: only a cell that has one is looked at."""
        inputs = self.shell.history_manager.input_hist_parsed
        return bool(inputs) and ";" in inputs[-1] and bool(self.semicolon_at_end_of_expression(inputs[-1]))

    def write_output_prompt(self) -> None:
        """Front ends write their own."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        kernel: Kernel = self.shell.kernel
        cell = owner()
        kernel.outlet.settle(cell)
        content = {"execution_count": self.prompt_count, "data": format_dict, "metadata": md_dict or {}}
        kernel.publish("execute_result", content, owner=cell)

    def finish_displayhook(self) -> None:
        self._is_active = False


class OutletDisplayPublisher(DisplayPublisher):
    """``display()``, ``update_display()`` and ``clear_output()``."""

    shell: ZMQInteractiveShell  # pyright: ignore[reportIncompatibleVariableOverride]

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **kwargs: Any,
    ) -> None:
        del kwargs  # of older IPythons
        kernel: Kernel = self.shell.kernel
        content = {"data": data, "metadata": metadata or {}, "transient": transient or {}}
        kernel.publish("update_display_data" if update else "display_data", content, owner=owner())

    def clear_output(self, wait: bool = False) -> None:
        kernel: Kernel = self.shell.kernel
        kernel.publish("clear_output", ClearOutput(wait), owner=owner())
