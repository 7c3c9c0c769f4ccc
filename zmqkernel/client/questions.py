"""What the asyncio face asks the kernel about code: answered while a cell runs, and never in the journal."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ..protocol.messages import (
    CompleteReply,
    CompleteRequest,
    DefinitionReply,
    DefinitionRequest,
    HistoryReply,
    HistoryRequest,
    InspectReply,
    InspectRequest,
    IsCompleteReply,
    IsCompleteRequest,
    KernelInfoReply,
    KernelInfoRequest,
    SignatureReply,
    SignatureRequest,
)

T = TypeVar("T", bound=msgspec.Struct)


class AsyncQuestions:
    """The part of AsyncClient that is about code."""

    async def _ask(self, content: msgspec.Struct, kind: type[T], seconds: float | None = None) -> T:
        raise NotImplementedError

    async def complete(self, code: str, cursor_pos: int | None = None) -> CompleteReply:
        """Completions at ``cursor_pos`` (code points; None: the end)."""
        at = len(code) if cursor_pos is None else cursor_pos
        return await self._ask(CompleteRequest(code, at), CompleteReply)

    async def inspect(self, code: str, cursor_pos: int | None = None, detail_level: int = 0) -> InspectReply:
        """What is known about the name at ``cursor_pos`` (code points; None: the end)."""
        at = len(code) if cursor_pos is None else cursor_pos
        return await self._ask(InspectRequest(code, at, detail_level), InspectReply)

    async def signature(self, code: str, cursor_pos: int | None = None) -> SignatureReply:
        """Signatures of what is called around ``cursor_pos`` (code points; None: the end); only of our own kernel."""
        at = len(code) if cursor_pos is None else cursor_pos
        return await self._ask(SignatureRequest(code, at), SignatureReply)

    async def definition(self, code: str, cursor_pos: int | None = None) -> DefinitionReply:
        """Where the live object at ``cursor_pos`` (code points; None: the end) was defined; only of our own kernel."""
        at = len(code) if cursor_pos is None else cursor_pos
        return await self._ask(DefinitionRequest(code, at), DefinitionReply)

    async def is_complete(self, code: str) -> IsCompleteReply:
        """Is this a whole statement, or does more have to come?"""
        return await self._ask(IsCompleteRequest(code), IsCompleteReply)

    async def history(self, request: HistoryRequest | None = None) -> HistoryReply:
        """Inputs of this and of earlier sessions; without a request the last 100."""
        return await self._ask(request or HistoryRequest(hist_access_type="tail", n=100), HistoryReply)

    async def kernel_info(self) -> KernelInfoReply:
        """The kernel's language and features."""
        return await self._ask(KernelInfoRequest(), KernelInfoReply)
