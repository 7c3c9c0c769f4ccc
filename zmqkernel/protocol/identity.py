"""What a kernel of ours says about itself. The supervisor says it too, before the kernel is up and when it is dead."""

from __future__ import annotations

import sys

from .. import __version__
from .messages import KernelInfoReply, LanguageInfo


def kernel_info() -> KernelInfoReply:
    """The kernel_info_reply of a kernel of ours that runs on this very interpreter."""
    major, minor, micro, level, serial = sys.version_info
    version = f"{major}.{minor}.{micro}" + (f"{level[0]}{serial}" if level != "final" else "")
    links = {
        "Python Reference": f"https://docs.python.org/{major}.{minor}",
        "IPython Reference": "https://ipython.org/documentation.html",
    }
    return KernelInfoReply(
        implementation="zmqkernel",
        implementation_version=__version__,
        language_info=LanguageInfo(
            name="python",
            version=version,
            mimetype="text/x-python",
            file_extension=".py",
            pygments_lexer="ipython3",
            codemirror_mode={"name": "ipython", "version": 3},
            nbconvert_exporter="python",
        ),
        banner=f"Python {sys.version}\nzmqkernel {__version__}, on IPython. Type '?' for help.\n",
        help_links=[{"text": text, "url": url} for text, url in links.items()],
    )
