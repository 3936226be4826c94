"""Errors that NVIDIA's driver tells about a GPU, by number: what they mean and who can mend them.

Numbers, meanings and actions after NVIDIA's catalogue: https://docs.nvidia.com/deploy/xid-errors/
"""

from enum import StrEnum


class XidClass(StrEnum):
    """What is to be done after an Xid."""

    PROGRAM = "program"
    """The program may start again, on the same GPU too."""
    GPU = "gpu"
    """The GPU is not to be trusted before it was reset."""
    NODE = "node"
    """The node, or what the GPU is plugged into, wants a restart or hands."""
    NOTE = "note"
    """It informs, or follows another one."""
    UNKNOWN = "unknown"
    """The catalogue did not have it; taken for a fault of the GPU."""


_BY_CLASS = {
    XidClass.PROGRAM: (8, 11, 13, 31, 32, 39, 40, 41, 68, 69, 70, 71, 72, 80, 94),
    XidClass.GPU: (
        *(46, 48, 62, 64, 74, 95, 109, 110, 119, 120, 136, 140, 143),
        *(144, 145, 146, 147, 148, 149, 150, 155, 156, 158),
    ),
    XidClass.NODE: (54, 79, 151),
    XidClass.NOTE: (38, 43, 44, 45, 63, 66, 92, 93, 121, 137, 154),
}
_CLASSES = {code: kind for kind, codes in _BY_CLASS.items() for code in codes}
_MEANINGS = {
    13: "graphics engine exception",
    31: "memory page fault",
    43: "stopped processing",
    45: "cleaned up after an earlier error",
    48: "double-bit ECC error",
    54: "auxiliary power is not connected",
    62: "halt of an internal micro-controller",
    63: "a memory row was remapped",
    64: "a memory row could not be remapped",
    74: "NVLink error",
    79: "it has fallen off the bus",
    94: "contained ECC error",
    95: "uncontained ECC error",
    109: "a context switch took too long",
    119: "its system processor does not answer",
    120: "error of its system processor",
    140: "unrecovered ECC error",
    143: "it could not be initialized",
    154: "what it needs to recover has changed",
}
_WORDS = {
    XidClass.GPU: "the GPU needs a reset",
    XidClass.NODE: "the node needs a restart or a repair",
    XidClass.UNKNOWN: "nothing more is known of this Xid",
}


def classify(code: int) -> XidClass:
    """What is to be done after this Xid."""
    return _CLASSES.get(code, XidClass.UNKNOWN)


def means_fault(code: int) -> bool:
    """Whether the GPU is not to be trusted after this Xid until somebody resets or repairs it."""
    return classify(code) not in {XidClass.PROGRAM, XidClass.NOTE}


def describe(code: int) -> str:
    """Such as `Xid 79 (it has fallen off the bus: the node needs a restart or a repair)`."""
    words = [word for word in (_MEANINGS.get(code), _WORDS.get(classify(code))) if word]
    return f"Xid {code} ({': '.join(words)})" if words else f"Xid {code}"
