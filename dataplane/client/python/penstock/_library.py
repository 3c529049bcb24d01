"""penstock.h as ctypes sees it: structs, signatures, and nothing else."""
import ctypes
import os
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

REASONS = 32
GAP_UNKNOWN = (1 << 64) - 1


class SenderOptions(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("ring_entries", c_uint32), ("max_topics", c_uint32),
                ("arena_bytes", c_uint64), ("timestamps", c_uint32), ("reserved", c_uint32)]


class SubscriberOptions(ctypes.Structure):
    _fields_ = [("policy", c_uint32), ("path", c_uint32), ("limit_messages", c_uint64),
                ("limit_bytes", c_uint64), ("block_ns", c_uint64)]


class PullerOptions(ctypes.Structure):
    _fields_ = [("ring_entries", c_uint32), ("reserved", c_uint32), ("arena_bytes", c_uint64)]


class Bytes(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("len", c_size_t)]


class MessageView(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("len", c_size_t), ("topic", c_char_p), ("position", c_uint64),
                ("lane", c_uint64), ("time_ns", c_uint64), ("key", c_uint64),
                ("origin_node", c_uint64), ("publisher", c_char_p), ("gap_count", c_uint64),
                ("gap_reason", c_uint32), ("topic_len", c_uint32), ("parts", c_uint32),
                ("copied", c_uint32), ("whole", c_void_p), ("whole_len", c_size_t)]


class SenderStats(ctypes.Structure):
    _fields_ = [("sent", c_uint64), ("bytes", c_uint64), ("would_block", c_uint64),
                ("no_route", c_uint64), ("readers", c_uint32), ("topics", c_uint32),
                ("reserved", c_uint64 * 4)]


class ReceiverStats(ctypes.Structure):
    _fields_ = [("delivered", c_uint64), ("bytes", c_uint64), ("skipped", c_uint64),
                ("gaps", c_uint64 * REASONS), ("lanes", c_uint32), ("reserved", c_uint32)]


_SIGNATURES = {
    "text": (c_char_p, [c_int]),
    "last_error": (c_char_p, []),
    "reason_text": (c_char_p, [c_uint32]),
    "attach_tenant": (c_int, [c_char_p, c_char_p, c_char_p, POINTER(c_void_p)]),
    "close": (None, [c_void_p]),
    "node_id": (c_uint64, [c_void_p]),
    "query": (c_int, [c_void_p, c_char_p, POINTER(c_void_p)]),
    "free": (None, [c_void_p]),
    "publisher": (c_int, [c_void_p, POINTER(SenderOptions), POINTER(c_void_p)]),
    "pusher": (c_int, [c_void_p, POINTER(SenderOptions), POINTER(c_void_p)]),
    "sender_close": (None, [c_void_p]),
    "topic": (c_int, [c_void_p, c_char_p, POINTER(c_uint32)]),
    "sendv": (c_int, [c_void_p, c_uint32, c_uint64, POINTER(Bytes), c_size_t]),
    "send_wait": (c_int, [c_void_p, c_uint32, c_uint64, c_void_p, c_size_t, c_int64]),
    "send_key": (c_int, [c_void_p, c_uint32, c_uint64, c_void_p, c_size_t]),
    "loan": (c_int, [c_void_p, c_size_t, POINTER(c_void_p)]),
    "commit": (c_int, [c_void_p, c_uint32, c_uint64, c_size_t]),
    "sender_get_stats": (None, [c_void_p, POINTER(SenderStats)]),
    "subscriber": (c_int, [c_void_p, c_char_p, POINTER(SubscriberOptions), POINTER(c_void_p)]),
    "puller": (c_int, [c_void_p, c_char_p, POINTER(PullerOptions), POINTER(c_void_p)]),
    "receiver_close": (None, [c_void_p]),
    "part": (c_int, [POINTER(MessageView), c_uint32, POINTER(Bytes)]),
    "recv": (c_int, [c_void_p, POINTER(MessageView), c_int64]),
    "release": (None, [c_void_p]),
    "event_fd": (c_int, [c_void_p]),
    "receiver_get_stats": (None, [c_void_p, POINTER(ReceiverStats)]),
}


class _Library:
    """The functions of libpenstock without their prefix."""

    def __init__(self):
        library = ctypes.CDLL(os.environ.get("PENSTOCK_LIBRARY", "libpenstock.so.0"))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, "penstock_" + name)
            function.restype = result
            function.argtypes = arguments
            setattr(self, name, function)


lib = _Library()
