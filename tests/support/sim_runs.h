// What loss and incast cost, measured on virtual time: the same for tests and for bench/run
// --lossy. Cables carry 100 Gb/s, a round trip takes 20 us, frames are jumbo, messages 64 KiB.
#pragma once

#include <cstdint>

namespace penstock::test {

struct LossyRun {
  uint32_t receivers = 1;
  uint32_t lost = 0;      // frames of a million, both ways
  uint32_t in_a_row = 1;  // of these
  uint64_t messages = 1024;
  bool congestion = true;
};

struct LossyOutcome {
  bool done = false;
  uint64_t wrong = 0;
  double bytes_per_ns = 0;  // of payload, to each receiver
  double wire = 0;          // bytes that the sender sent, for one of payload to one receiver
};

LossyOutcome run_lossy(const LossyRun& r);

struct IncastRun {
  uint32_t senders = 32;
  uint64_t buffer = 512 << 10;  // of the switch, in front of the receiver
  bool marks = false;           // the switch marks from a quarter of it on
  bool credits = true;          // the receiver shares what it can take
  uint64_t messages = 32;       // of each sender
};

struct IncastOutcome {
  bool done = false;
  uint64_t wrong = 0;
  double dropped = 0;  // by the switch, of all frames to the receiver
  double time = 0;     // for one that the receiver's cable alone would take
};

IncastOutcome run_incast(const IncastRun& r);

// One source, and large messages that go down a chain of its receivers.
struct ChainRun {
  uint32_t receivers = 8;
  uint64_t size = 4 << 20;
  uint64_t messages = 16;
  uint32_t lost = 0;    // frames of a million, between the first two receivers and back
  uint32_t killed = 0;  // this host dies when half has left the source; 0: none
  uint32_t slow = 0;    // the cable of this host takes a hundredth; 0: of none
  bool chain = true;
  bool rdma = false;  // devices, too, as fast as the cables
  uint32_t rdma_gbps = 100;
  uint32_t stalled = 0;  // the worker of this host stands still when a part has left; 0: none
  uint64_t stalled_ns = 400'000'000;
};

struct ChainOutcome {
  bool done = false;
  uint64_t wrong = 0;
  double egress = 0;  // bytes that the source sent, for one of payload
  double time = 0;  // for one that its cable would take to send the payload once: the last receiver
  double seconds = 0;
  double others = 0;       // the same, of the last of those that are neither killed nor slow
  uint64_t relayed = 0;    // bytes
  uint64_t passed = 0;     // of these, by RDMA
  uint64_t revoked = 0;    // rails that ended as somebody held a place
  double put = 0;          // bytes that the source put, for one of payload
  uint64_t fell_back = 0;  // messages
  uint64_t trace = 0;
};

ChainOutcome run_chain(const ChainRun& r);

}  // namespace penstock::test
