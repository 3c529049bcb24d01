// PutRelay: a peer's part in messages that go down a chain (link/chain.h) by RDMA: what it is to
// put into our mirrors for their sources, and what we put on to it from them. Part of the peer's
// Rails; used by their worker.
//
//   source ──ANNOUNCE──▶ receiver ──kGrant──▶ relay        the place and its key
//      └─────────PASS──────────────────────────▲ │
//                        receiver ◀══ parts ═════┘         as they land in the relay's mirror
//                        receiver ◀──kOver─────── relay    none of it is under way any more
//
// What a device writes cannot be refused, and what it reads cannot be checked afterwards. So the
// receiver gives the place to nobody else from kGrant to kOver, and the relay keeps the bytes in
// theirs until its device has read them. Neither waits for ever: who has the message otherwise, or
// does not get on, ends the rail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/line.h"
#include "dataplane/wire/put_record.h"

namespace penstock {

class InLane;
class Link;
class Rails;
class RdmaPath;
struct Pass;
struct Region;

// Written by the worker, read by metrics.
struct alignas(kPair) PutRelayStats {
  Counter passed, passed_bytes;  // messages put on to the peer, whole; bytes of all
  Counter given_up;              // that were begun, and not whole
  Counter revoked;               // rails that were ended for the sake of a place
};

class PutRelay {
 public:
  explicit PutRelay(Rails& rails);
  ~PutRelay();
  PutRelay(const PutRelay&) = delete;
  PutRelay& operator=(const PutRelay&) = delete;

  // As in PutPath.
  bool ask_for(Link& source, InLane& lane, uint64_t position);
  bool pass(Link& source, InLane& lane, const Pass& p);
  void forget(const InLane* lane);

  // --- the rails ---

  // As in Connection::Sink, for what is passed on.
  bool begun(const RdmaPath& rail, const PutRecord& transfer) const;
  void landed(const RdmaPath& rail, const PutRecord& transfer, uint64_t offset, uint64_t bytes,
              uint64_t now);
  bool noted(RdmaPath& rail, const PassNote& note, uint64_t now);
  // The device neither writes nor reads for it any more.
  void stopped(const RdmaPath& rail);
  void turn(uint64_t now);
  bool busy() const { return !asked_.empty() || !moving_.empty(); }

  // --- any core ---
  const PutRelayStats& stats() const { return stats_; }

 private:
  static constexpr size_t kMost = 64;                // each way
  static constexpr uint64_t kPart = 256 << 10;       // bytes, at least, or what is left
  static constexpr uint32_t kUnderWay = 8;           // parts by a rail, or others wait
  static constexpr uint64_t kLateNs = 10'000'000;    // behind half of the mirror
  static constexpr uint64_t kStallNs = 100'000'000;  // without progress
  static constexpr uint64_t kRevokeNs = 250'000'000;
  static constexpr uint64_t kMostNs = 5'000'000'000;  // and be there progress

  // A message, as its receiver's link with the source names it.
  struct Name {
    uint32_t connection = 0;
    uint32_t alias = 0;
    uint32_t epoch = 0;
    uint64_t position = 0;
    bool operator==(const Name&) const = default;
  };
  // What the peer is to put here.
  struct Asked {
    Name name;
    uint64_t len;
    uint64_t arena;
    InLane* lane;  // null: it left
    Link* source;
    Region* memory;
    RdmaPath* rail;
    uint64_t whole_since = 0;  // we do not want it any more
    uint64_t idle_since = 0;   // nor does the peer put anything else
    uint64_t taken = 0;        // by then
  };
  // What we are to put there.
  struct Moving {
    Name name;
    uint64_t source = 0;  // node id
    uint64_t since = 0;   // it was heard of, or got on
    uint64_t late_since = 0;
    uint64_t over_since = 0;
    bool passed = false;
    bool granted = false;
    bool over = false;      // no more parts
    bool held = false;      // the bytes are
    bool released = false;  // the bytes are free
    // Of PASS.
    InLane* from = nullptr;
    Region* memory = nullptr;
    uint64_t position = 0;
    uint64_t arena = 0;
    uint64_t len = 0;
    // Of kGrant.
    RdmaPath* rail = nullptr;
    uint64_t address = 0;
    uint32_t key = 0;
    uint64_t sent = 0;
    uint64_t here = 0;    // landed, as of the last look
    uint64_t number = 0;  // the last part's
    uint64_t read = 0;    // by the device, as of the last look
    uint64_t until = 0;   // where the poster was when all were posted; 0: they are not
  };

  Moving* find(const Name& name, uint64_t source);
  uint64_t patience(const Moving& m) const;
  void begin(Moving& m);
  bool grants(Moving& m, RdmaPath& rail, const PassNote& note, uint64_t now);
  void put_parts(Moving& m, uint64_t now);
  bool finish(Moving& m, uint64_t now);
  void release(Moving& m);
  static void release(Asked& a);

  Rails& rails_;
  std::vector<Asked> asked_;
  std::vector<Moving> moving_;
  PutRelayStats stats_;
};

}  // namespace penstock
