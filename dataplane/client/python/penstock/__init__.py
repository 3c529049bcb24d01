"""The Penstock client: publish, subscribe, push, pull. ctypes over libpenstock, nothing compiled.

    import penstock

    with penstock.Client("trainer") as client:
        publisher = client.publisher()
        publisher.send("grad.layer3.w", gradients)        # anything with the buffer protocol

    with penstock.Client("watcher") as client:
        subscriber = client.subscriber("grad.#")
        message = subscriber.recv()                       # message.data: a memoryview, not a copy

A client and what is made from it belong to one thread at a time. Times are in seconds, None waits
for ever; times inside messages are in nanoseconds since 1970. $PENSTOCK_SOCKET names the node's
socket, $PENSTOCK_LIBRARY the library, when they are not in the usual place.
"""
import asyncio
import ctypes
import time

from ._library import (GAP_UNKNOWN, REASONS, Bytes, MessageView, PullerOptions, ReceiverStats, SenderOptions,
                       SenderStats, SubscriberOptions, lib)

__all__ = ["Client", "Publisher", "Pusher", "Subscriber", "Puller", "Message", "Error", "WouldBlock",
           "NoRoute", "Closed", "Evicted"]

_OK, _WOULD_BLOCK, _NO_ROUTE, _CLOSED, _TIMEOUT, _EVICTED = 0, 1, 2, 5, 10, 13
POLICIES = {"block": 0, "drop_oldest": 1, "conflate": 2, "disconnect": 3, "drop_newest": 4}
PATHS = {"any": 0, "prefer": 1, "require_zero_copy": 2}
_SLICE_NS = 100_000_000  # how long a call stays in C, so that ^C gets through


class Error(Exception):
    """A code of penstock.h: `code` is its number."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class WouldBlock(Error):
    """A receiver is behind; nothing was sent."""


class NoRoute(Error):
    """Nobody pulls; nothing was sent."""


class Closed(Error):
    """The node went away, or the client was closed."""


class Evicted(Error):
    """The node ended the subscription: too slow for its policy, or not served as it requires."""


_KINDS = {_WOULD_BLOCK: WouldBlock, _NO_ROUTE: NoRoute, _CLOSED: Closed, _EVICTED: Evicted}


def _check(code, set_up=False):
    if code == _OK:
        return
    text = lib.text(code).decode()
    if set_up or code == _EVICTED:
        text = lib.last_error().decode() or text
    raise _KINDS.get(code, Error)(code, text)


class _Owner:
    """Something that is closed once, by close(), with, or the garbage collector."""

    _handle = None
    _close = None

    def close(self):
        """Gives it back. Views of its memory must not be used any more."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._close(handle)

    def _live(self):
        if self._handle is None:
            raise Closed(_CLOSED, "closed")
        return self._handle

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()


def _pointer(data):
    """Address, length, and what keeps both alive, of anything with the buffer protocol."""
    if isinstance(data, str):
        data = data.encode()
    if isinstance(data, bytes):
        return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data), data
    view = memoryview(data).cast("B")
    if view.readonly or view.nbytes == 0:
        copy = view.tobytes()
        return ctypes.cast(ctypes.c_char_p(copy), ctypes.c_void_p), len(copy), copy
    array = (ctypes.c_char * view.nbytes).from_buffer(view)
    return ctypes.c_void_p(ctypes.addressof(array)), view.nbytes, array


def _in_slices(call, timeout, unfinished):
    """Calls call(ns) until it answers something else than `unfinished`, or time is up."""
    end = None if timeout is None else time.monotonic_ns() + int(timeout * 1e9)
    while True:
        left = _SLICE_NS if end is None else max(0, min(_SLICE_NS, end - time.monotonic_ns()))
        code = call(left)
        if code not in unfinished or (end is not None and time.monotonic_ns() >= end):
            return code


class Message:
    """A message, or, when `gap` is not None, the notice that messages were lost.

    data       memoryview of the first part, valid until the next recv, release or close of its
               receiver; take bytes(message.data) to keep it
    parts      list of memoryviews, one a part; empty for a gap
    topic, publisher, position, lane, key, origin_node, time_ns   as in penstock.h
    copied     True: large, and came by frames, not by RDMA: see the path of a subscriber
    gap        (count, reason) or None; the count is None when nobody here knows it
    """

    __slots__ = ("data", "topic", "publisher", "position", "lane", "key", "origin_node", "time_ns",
                 "copied", "gap", "_view")

    def __init__(self, view):
        self._view = view
        self.data = _memory(view.data, view.len)
        self.topic = view.topic.decode()
        self.publisher = view.publisher.decode()
        self.position = view.position
        self.lane = view.lane
        self.key = view.key
        self.origin_node = view.origin_node
        self.time_ns = view.time_ns
        self.copied = bool(view.copied)
        self.gap = None
        if view.gap_count:
            count = None if view.gap_count == GAP_UNKNOWN else view.gap_count
            self.gap = (count, lib.reason_text(view.gap_reason).decode())

    @property
    def parts(self):
        found = []
        part = Bytes()
        for i in range(self._view.parts):
            _check(lib.part(ctypes.byref(self._view), i, ctypes.byref(part)))
            found.append(_memory(part.data, part.len))
        return found


def _memory(address, length):
    if not address or not length:
        return memoryview(b"")
    return memoryview((ctypes.c_char * length).from_address(address)).cast("B").toreadonly()


class _Sender(_Owner):
    """What publishers and pushers have in common."""

    _close = staticmethod(lib.sender_close)

    def __init__(self, client, handle):
        self._client = client  # keeps it alive
        self._handle = handle
        self._topics = {}

    def topic(self, name):
        """The id of a topic. The first call for a name waits for the node to join everybody who
        wants it; send() calls this when needed."""
        found = self._topics.get(name)
        if found is None:
            number = ctypes.c_uint32()
            _check(lib.topic(self._live(), name.encode(), ctypes.byref(number)), set_up=True)
            found = self._topics[name] = number.value
        return found

    def send(self, topic, data, key=0, timeout=0):
        """Copies `data` (bytes, str, or anything with the buffer protocol) and sends it. Waits up
        to `timeout` seconds for room, and a pusher for a puller. Raises WouldBlock, NoRoute or
        Closed."""
        number = self.topic(topic)
        pointer, length, _keep = _pointer(data)
        if timeout == 0:
            _check(lib.send_key(self._live(), number, key, pointer, length))
            return
        handle = self._live()
        _check(_in_slices(lambda ns: lib.send_wait(handle, number, key, pointer, length, ns), timeout,
                          (_WOULD_BLOCK, _NO_ROUTE)))

    def send_parts(self, topic, parts, key=0):
        """Sends several parts as one message, which arrives whole or not at all."""
        number = self.topic(topic)
        kept = [_pointer(p) for p in parts]
        array = (Bytes * len(kept))(*[Bytes(p, n) for p, n, _ in kept])
        _check(lib.sendv(self._live(), number, key, array, len(kept)))

    def loan(self, length):
        """A writable memoryview of room for a message, to be filled in place, then commit()ted."""
        at = ctypes.c_void_p()
        _check(lib.loan(self._live(), length, ctypes.byref(at)))
        if length == 0:
            return memoryview(bytearray())
        return memoryview((ctypes.c_char * length).from_address(at.value)).cast("B")

    def commit(self, topic, length, key=0):
        """Sends the first `length` bytes of what was loaned."""
        _check(lib.commit(self._live(), self.topic(topic), key, length))

    def stats(self):
        """Counts: sent, bytes, would_block, no_route, readers, topics."""
        s = SenderStats()
        lib.sender_get_stats(self._live(), ctypes.byref(s))
        return {name: getattr(s, name) for name, _ in s._fields_ if name != "reserved"}


class Publisher(_Sender):
    """Each message goes to every subscriber with a matching filter."""


class Pusher(_Sender):
    """Each message goes to one puller with a matching filter."""


class _Receiver(_Owner):
    """What subscribers and pullers have in common. Iterating receives for ever."""

    _close = staticmethod(lib.receiver_close)

    def __init__(self, client, handle):
        self._client = client  # keeps it alive
        self._handle = handle

    def recv(self, timeout=None):
        """The next Message, or None when nothing came within `timeout` seconds (0: does not wait).
        Raises Closed when the node is gone and everything was read."""
        view = MessageView()
        handle = self._live()
        pointer = ctypes.byref(view)
        code = lib.recv(handle, pointer, 0)
        if code == _TIMEOUT and timeout != 0:
            code = _in_slices(lambda ns: lib.recv(handle, pointer, ns), timeout, (_TIMEOUT,))
        if code == _TIMEOUT:
            return None
        _check(code)
        return Message(view)

    async def recv_async(self):
        """The next Message, without blocking the event loop. One task at a time."""
        loop = asyncio.get_running_loop()
        fd = self.event_fd()
        while True:
            message = self.recv(0)
            if message is not None:
                return message
            readable = asyncio.Event()
            loop.add_reader(fd, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(fd)

    def release(self):
        """Lets go of the last message now, instead of at the next recv()."""
        lib.release(self._live())

    def event_fd(self):
        """A descriptor that is readable when there may be something, for select, epoll, asyncio.
        Then call recv(0) until it returns None: that arms it again."""
        return lib.event_fd(self._live())

    fileno = event_fd

    def stats(self):
        """Counts: delivered, bytes, skipped, lanes, and gaps, a dict by reason."""
        s = ReceiverStats()
        lib.receiver_get_stats(self._live(), ctypes.byref(s))
        gaps = {lib.reason_text(i).decode(): s.gaps[i] for i in range(REASONS) if s.gaps[i]}
        return {"delivered": s.delivered, "bytes": s.bytes, "skipped": s.skipped, "lanes": s.lanes,
                "gaps": gaps}

    def __iter__(self):
        while True:
            try:
                yield self.recv()
            except Closed:
                return


class Subscriber(_Receiver):
    """Gets every message to a matching topic."""


class Puller(_Receiver):
    """Member of the group of all pullers with the same filter: each message goes to one."""


class Client(_Owner):
    """One attachment to the node of this host."""

    _close = staticmethod(lib.close)

    def __init__(self, name=None, socket=None, tenant=None):
        """Attaches as `name` to the node at `socket`, in `tenant` or the one that it gives. Raises Error with a sentence that says what
        to do when there is none."""
        handle = ctypes.c_void_p()
        _check(lib.attach_tenant(socket and str(socket).encode(), name and name.encode(),
                                 tenant and tenant.encode(), ctypes.byref(handle)), set_up=True)
        self._handle = handle

    def _make(self, function, kind, *arguments):
        handle = ctypes.c_void_p()
        _check(function(self._live(), *arguments, ctypes.byref(handle)), set_up=True)
        return kind(self, handle)

    def publisher(self, name=None, ring_entries=0, arena_bytes=0, max_topics=0, timestamps=False):
        """A Publisher. Sizes are rounded up to powers of two; 0: the node's default."""
        options = SenderOptions(name and name.encode(), ring_entries, max_topics, arena_bytes,
                                int(timestamps))
        return self._make(lib.publisher, Publisher, ctypes.byref(options))

    def pusher(self, name=None, ring_entries=0, arena_bytes=0, max_topics=0, timestamps=False):
        """A Pusher; options as of publisher()."""
        options = SenderOptions(name and name.encode(), ring_entries, max_topics, arena_bytes,
                                int(timestamps))
        return self._make(lib.pusher, Pusher, ctypes.byref(options))

    def subscriber(self, filter, policy="block", limit_messages=0, limit_bytes=0, block_for=0,
                   path="any"):
        """A Subscriber to a topic, in which * stands for one word and # for any number.

        The policy says what becomes of it when it is behind. "block" holds publishers back, for up
        to `block_for` seconds (0: for ever); "drop_oldest" and "drop_newest" miss what is beyond
        limit_messages or limit_bytes of a publisher (0: what its lane holds); "conflate" gets the
        newest of each topic; "disconnect" ends the subscription beyond its limits (Evicted). What
        it missed it is told as a gap.

        The path says how large messages of other nodes may come: with "prefer" the node complains
        when they do not come by RDMA; "require_zero_copy" waits for RDMA a while, and then the
        subscription ends (Evicted) rather than show one that was copied."""
        if policy not in POLICIES:
            raise ValueError(f"policy is one of {', '.join(POLICIES)}, not {policy!r}")
        if path not in PATHS:
            raise ValueError(f"path is one of {', '.join(PATHS)}, not {path!r}")
        options = SubscriberOptions(POLICIES[policy], PATHS[path], limit_messages, limit_bytes,
                                    round(block_for * 1e9))
        return self._make(lib.subscriber, Subscriber, filter.encode(), ctypes.byref(options))

    def puller(self, filter, ring_entries=0, arena_bytes=0):
        """A Puller; the sizes are those of its inbox."""
        options = PullerOptions(ring_entries, 0, arena_bytes)
        return self._make(lib.puller, Puller, filter.encode(), ctypes.byref(options))

    def query(self, question):
        """Asks the node ("clients", "lanes", "links", "ports", "drops", ...); the answer is JSON
        text."""
        text = ctypes.c_void_p()
        _check(lib.query(self._live(), question.encode(), ctypes.byref(text)), set_up=True)
        try:
            return ctypes.string_at(text).decode()
        finally:
            lib.free(text)

    def node_id(self):
        """The id of the node, as in Message.origin_node."""
        return lib.node_id(self._live())
