// Fabric: the seam between rdma/ and one RDMA device, or something that stands in for one. drivers/
// implements it; tests use drivers/sim. No call blocks, none throws.
//
//   control   register_memory ──▶ Registration ──▶ RemoteRegion, for the peer
//             create_endpoint ──▶ address() ══ exchange with the peer ══ connect()
//   worker    post(burst) ──▶ device ═══▶ bytes in the peer's memory, then its immediate
//             poll() ◀── completions: of what this side posted
//                    ◀── immediates: of what a peer put here
//
// What holds on every fabric, and nothing more does (tests/rdma/contract_test.cc):
//
//   * No order between requests, but for flush. When an immediate is polled, the bytes of its own
//     put are in place; about other puts it says nothing: count immediates (imm_counter.h).
//   * A completion says that the source may be reused, or that what was got is there. It says
//     nothing about the peer's memory: flush does.
//   * The completions of an endpoint come in the order in which it posted. A request that is not
//     signalled and succeeds has none: the next completion stands for it too.
//   * The first error ends an endpoint. The request that it hit comes back with its code, and each
//     one after it, signalled or not, as kCanceled. Whether any of them arrived, as a whole or in
//     part, is unknown here; only the peer can tell, once its side was stopped.
//   * A request holds its place in the send queue until a completion for it or for a later one was
//     polled. Some devices free it earlier: do not count on it (poster.h keeps count).
//   * A put with immediate takes one of the peer's receives, which come back as the peer polls. One
//     that finds none is counted at the peer and ends in kReceiverNotReady: whoever keeps to
//     credits (credits.h) never meets it.
//
// Threads: post, poll and stats belong to one worker; all else to control, for an endpoint while
// the worker does not have it (it is handed over and back by command), but stop(), which may come
// at any time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/base/counter.h"
#include "dataplane/base/errc.h"

namespace penstock {

// How a request ended. A closed set: drivers map what their device says to these.
enum class FabricCode : uint8_t {
  kOk = 0,
  kCanceled = 1,          // the endpoint was in error, or was stopped, before it was through
  kTimeout = 2,           // the peer did not answer, however often it was tried
  kReceiverNotReady = 3,  // the peer had no receive for an immediate
  kRemoteAccess = 4,      // key, bounds or right refused by the peer
  kLocalAccess = 5,       // the same on this side: a bug of the caller
  kDevice = 6,            // anything else: the device or its driver failed
};
inline constexpr size_t kFabricCodes = 7;

constexpr const char* text(FabricCode c) {
  constexpr const char* kText[kFabricCodes] = {
      "ok",           "canceled",    "timed out", "receiver not ready", "remote access refused",
      "local access", "device error"};
  const auto i = static_cast<unsigned>(c);
  return i < kFabricCodes ? kText[i] : "unknown code";
}

// The 32 bits of an immediate: which counter of the peer it is for, and which chunk it was.
inline constexpr unsigned kImmSlotBits = 11;
inline constexpr unsigned kImmChunkBits = 20;  // the highest bit of the 32 is reserved: 0
inline constexpr uint32_t kImmSlots = 1u << kImmSlotBits;
inline constexpr uint32_t kImmChunks = 1u << kImmChunkBits;
static_assert(kImmSlotBits + kImmChunkBits == 31);

constexpr uint32_t imm_of(uint32_t slot, uint32_t chunk) {
  return slot << kImmChunkBits | chunk;
}
// Of a foreign immediate with the reserved bit set it is kImmSlots or more: no slot.
constexpr uint32_t imm_slot(uint32_t imm) {
  return imm >> kImmChunkBits;
}
constexpr uint32_t imm_chunk(uint32_t imm) {
  return imm & (kImmChunks - 1);
}

// FabricLimits.capabilities
enum : uint32_t {
  kFabricZeroCopy = 1,  // bytes go from and to registered memory without a copy by a processor
  kFabricGpu = 2,       // registers memory of GPUs
  kFabricOrdered = 4,   // puts of one endpoint land in the order posted; do not lean on it
};

// What a device can do; fixed while it is open.
struct FabricLimits {
  uint32_t capabilities = 0;
  uint32_t max_inline = 0;        // bytes of a put that post() can copy into the queue itself
  uint32_t max_message = 0;       // bytes of one request
  uint32_t send_depth = 0;        // requests of an endpoint at once
  uint32_t receive_depth = 0;     // immediates that may be on their way here, from all peers
  uint32_t max_endpoints = 0;     // at once
  uint64_t max_registration = 0;  // bytes of one
  uint32_t gbps = 0;              // of its port; 0: not known
};

// What a peer may do to registered memory. This side may always read it, and write it too unless it
// is kReadOnly: memory that is mapped so, which nobody may put to or get into.
enum : uint32_t { kRemotePut = 1, kRemoteGet = 2, kReadOnly = 4 };

// Memory that the device knows. Plain data, good until it is deregistered.
struct Registration {
  std::byte* base = nullptr;
  uint64_t bytes = 0;
  uint32_t local_key = 0;
  uint32_t remote_key = 0;
  uint64_t remote_address = 0;  // what the peer adds offsets to
  void* handle = nullptr;       // the driver's
};

// What a peer needs to know of it.
struct RemoteRegion {
  uint64_t address = 0;
  uint64_t bytes = 0;
  uint32_t key = 0;
};

constexpr RemoteRegion remote_region(const Registration& r) {
  return {r.remote_address, r.bytes, r.remote_key};
}

enum class FabricOp : uint8_t {
  kPut,           // local bytes to the peer's memory
  kPutImmediate,  // the same, and then its immediate; may have 0 bytes
  kGet,           // the peer's bytes to local memory
  kFlush,  // completes when all puts before it can be read from the peer's memory. No local bytes;
           // the remote place is a byte there that may be got
};

struct FabricRequest {
  FabricOp op = FabricOp::kPut;
  bool signalled = false;  // gives a completion also when it succeeds
  bool inlined = false;  // a put of at most max_inline bytes, copied by post(): needs no local key
  uint32_t immediate = 0;
  std::byte* local = nullptr;
  uint32_t bytes = 0;
  uint32_t local_key = 0;
  uint64_t remote_address = 0;
  uint32_t remote_key = 0;
  uint64_t id = 0;  // comes back in its completion; any but ~0
};

struct FabricCompletion {
  uint64_t id = 0;
  uint32_t endpoint = 0;  // its number
  FabricCode code = FabricCode::kOk;
};

// A put with immediate that has landed here.
struct FabricImmediate {
  uint32_t endpoint = 0;  // number of the one it came by
  uint32_t immediate = 0;
  uint32_t bytes = 0;
};

enum class FabricEventKind : uint8_t {
  kPortDown,
  kPortUp,
  kEndpointError,  // a peer broke the rules on this endpoint, and it is in error: where the device
                   // tells; with others only the peer's side ends
  kDeviceFatal,    // nothing more may come, completions included; all that is left is to close it
};

struct FabricEvent {
  FabricEventKind kind{};
  uint32_t endpoint = 0;
};

// Written by the worker.
struct FabricStats {
  Counter requests;            // that post() took
  Counter doorbells;           // calls of post() that took any
  Counter completions;         // that poll() gave
  Counter errors;              // of these, with a code that is neither kOk nor kCanceled
  Counter immediates;          // that poll() gave
  Counter receiver_not_ready;  // immediates that found no receive; where the device tells, else
                               // those of this side that ended so
};

// What a peer must know to connect: opaque, passed as it is, checked by connect().
using EndpointAddress = std::array<std::byte, 48>;

// A queue pair. Its owner destroys it before the fabric. What had been posted on it by then and was
// not polled comes back later or never, and so do immediates: by a number that means nothing more.
class Endpoint {
 public:
  enum class State : uint8_t { kNew, kReady, kError };

  Endpoint() = default;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  virtual ~Endpoint() = default;

  // Names it in completions, immediates and events. Not given to another one soon.
  virtual uint32_t number() const = 0;
  virtual EndpointAddress address() const = 0;

  // Joins it with the peer's endpoint of that address, which has to do the same. Once only; puts
  // may be posted at once, and wait for the peer's side for as long as a timeout takes.
  // kInvalid: no address of this kind of fabric. kBusy: it is not new.
  virtual Errc connect(const EndpointAddress& peer) = 0;

  // kError may show late: a completion with an error, or an event, says it first.
  virtual State state() const = 0;

  // Ends it: when this has returned, nothing of the peer lands by it any more. Requests under way
  // come back as kCanceled.
  virtual void stop() = 0;

  // Takes requests from the front of `in`, with one doorbell: fewer when the send queue is full,
  // none before it is connected. In error they are taken and come back as kCanceled.
  virtual size_t post(std::span<const FabricRequest> in) = 0;
};

class Fabric {
 public:
  struct Polled {
    size_t completions = 0;
    size_t immediates = 0;
  };

  Fabric() = default;
  Fabric(const Fabric&) = delete;
  Fabric& operator=(const Fabric&) = delete;
  virtual ~Fabric() = default;

  virtual const char* name() const = 0;  // of the device
  virtual const FabricLimits& limits() const = 0;
  virtual const FabricStats& stats() const = 0;
  virtual bool port_up() const = 0;

  // Makes memory known to the device, for all endpoints; it stays where it is until it is
  // deregistered. kTooBig: more than max_registration. kNoMemory: the device, or the limit on
  // locked memory, has no room.
  virtual Result<Registration> register_memory(std::byte* base, uint64_t bytes,
                                               uint32_t rights) = 0;
  // The same for memory of another device, which came as a dma-buf: `bytes` of it from `offset` on;
  // the registration names them by `base`, where that device has them. The descriptor may be closed
  // then. kInvalid: it takes none (without kFabricGpu), or not this one.
  virtual Result<Registration> register_dma_buf(int /*fd*/, uint64_t /*offset*/,
                                                std::byte* /*base*/, uint64_t /*bytes*/,
                                                uint32_t /*rights*/) {
    return Errc::kInvalid;
  }
  // Its keys are refused from now on, everywhere. No request of this side that names it is under
  // way: that would be a bug, and end in kLocalAccess.
  virtual void deregister(const Registration& registration) = 0;

  // kFull: max_endpoints are there. kClosed: the device is gone.
  virtual Result<std::unique_ptr<Endpoint>> create_endpoint() = 0;

  // Fills both from the front, and gives the receives of the immediates back to the peers. What
  // does not fit stays for the next call; to see all of one kind, give room for both.
  virtual Polled poll(std::span<FabricCompletion> completions,
                      std::span<FabricImmediate> immediates) = 0;

  // Fills `out` from the front with what happened to device, port and endpoints.
  virtual size_t events(std::span<FabricEvent> out) = 0;
  // Becomes readable when there are events; -1: ask now and then.
  virtual int event_fd() const { return -1; }
};

}  // namespace penstock
