// PutPath: another way for the bytes of large messages, straight to their place in the peer's
// mirror: RDMA. The link keeps what it is good at: order, places, credit, and what is left of a
// message when the other way fails. Implemented outside (rdma_path.h); one for each link, on the
// same worker.
//
//   OutLane ──put──▶ PutPath ═══▶ mirror; at the peer: Link::on_put, Link::on_put_landed
//      ▲                │
//      └────────────────┴─ put_landed.., and if not all of it did, put_ended: the rest by frames
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/wire/fragment.h"

namespace penstock {

class InLane;
class Link;
class OutLane;
struct Pass;

// What a device knows a mirror's arena by.
struct PutMemory {
  const void* device = nullptr;
  uint64_t address = 0;  // for the peer
  uint32_t remote_key = 0;
  uint32_t local_key = 0;
};

class PutPath {
 public:
  enum class Take : uint8_t {
    kTaken,  // until it has landed or put_ended() its bytes stay where they are
    kFull,   // not now: Link::puts_again() says when
    kNo,     // not this way
    kLater,  // not now, and nobody knows when: by frames, unless the lane waits for it
  };

  PutPath() = default;
  PutPath(const PutPath&) = delete;
  PutPath& operator=(const PutPath&) = delete;
  virtual ~PutPath() = default;

  // Of the message at `bytes` so many from m.offset on: `m` says what it is and where it goes, and
  // has no piece. It does not call back from here.
  virtual Take put(OutLane& lane, const FragmentHeader& m, const std::byte* bytes,
                   uint64_t len) = 0;

  // --- messages that go down a chain (chain.h): put_relay.h. By default it takes none ---

  // The peer is to put a message that `source` has announced to where it lies in our mirror `lane`.
  // False: it cannot, and is not asked.
  virtual bool ask_for(Link& /*source*/, InLane& /*lane*/, uint64_t /*position*/) { return false; }
  // `source` wants a message of its mirror `lane` put on to the peer, as it lands.
  virtual bool pass(Link& /*source*/, InLane& /*lane*/, const Pass& /*p*/) { return false; }
  // How long so many bytes take that way, behind what is under way.
  virtual uint64_t time_for(uint64_t /*bytes*/) const { return 0; }
  // The mirror leaves its link: nothing more of it is looked at.
  virtual void forget(const InLane* /*lane*/) {}
};

}  // namespace penstock
