// What the node knows of RDMA: the devices of its workers, and of each path the connections beside
// its link, one for each device (rail). Plain data of the control thread, as in records.h.
//
//   kNone ──call──▶ kCalling ──answer──▶ kUp ──an error, here or there──▶ kEnding ──▶ kNone
//                                              both sides stop and say what has landed
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/node/peer_protocol.h"
#include "dataplane/fabric_port.h"
#include "rdma/connection.h"
#include "rdma/credits.h"
#include "rdma/registration_cache.h"

namespace penstock {

struct ForwardRecord;
struct PeerRecord;

// Where a forward's messages may be put by one rail.
struct PutWay {
  const Registered* memory = nullptr;  // the lane's arena; null: they do not go by it
  RemoteRegion to;                     // the mirror's, in that life of the connection
  uint32_t life = 0;
};
using PutWays = std::array<PutWay, kMostRails>;

// A forward of which something is under way still, though it ends.
struct LeavingRdma {
  ForwardRecord* forward = nullptr;
  uint64_t since = 0;
  std::function<void()> then;
};

// Nothing of it is under way: no device need know its lane.
void release_puts(ForwardRecord& f);

static_assert(sizeof(peer::RdmaLanded{}.chunks) == sizeof(UnfinishedTransfer{}.chunks));

// The arenas of lanes, for the registration caches. A lane's id is never given again.
class Arenas final : public Allocations {
 public:
  void add(const Allocation& a) { by_base_[a.base] = a; }
  void remove(const std::byte* base) { by_base_.erase(base); }
  Result<Allocation> find(const std::byte* at, uint64_t bytes) const override {
    auto i = by_base_.upper_bound(at);
    if (i == by_base_.begin()) return Errc::kNotFound;
    const Allocation& a = (--i)->second;
    const auto offset = static_cast<uint64_t>(at - a.base);
    if (offset > a.bytes || bytes > a.bytes - offset) return Errc::kNotFound;
    return a;
  }

 private:
  std::map<const std::byte*, Allocation> by_base_;
};

// A device of a worker. Lanes of publishers are mapped read-only here, mirrors are ours.
struct FabricRow {
  FabricRow(std::string device, uint32_t which, Fabric& fabric, uint64_t rate, const Arenas& arenas)
      : name(std::move(device)),
        worker(which),
        bytes_per_s(rate),
        port(fabric),
        sources(fabric, arenas, {.rights = kReadOnly}),
        mirrors(fabric, arenas, {.rights = kRemotePut}),
        shares(fabric.limits().receive_depth, fabric.limits().max_endpoints) {}

  std::string name;
  uint32_t worker;
  uint64_t bytes_per_s;  // what it may carry, before anything was measured
  FabricPort port;       // the worker's
  RegistrationCache sources;
  RegistrationCache mirrors;
  ReceiveShares shares;  // of the device's receives
  bool down = false;     // the device said so
  bool refuses = false;  // it could not register a lane, and the log says so
};

// A way beside a link.
struct RdmaRecord {
  enum class State : uint8_t { kNone, kCalling, kUp, kEnding };

  RdmaRecord(PeerRecord& p, uint32_t i, uint32_t which, FabricRow& f, Rails& rails)
      : peer(p), index(i), rail(which), fabric(f), path(rails, &f, f.bytes_per_s) {}
  RdmaRecord(const RdmaRecord&) = delete;
  RdmaRecord& operator=(const RdmaRecord&) = delete;
  ~RdmaRecord() { free(); }

  // The worker has let go of the connection, or never had it.
  void free() {
    if (landing == nullptr) return;
    connection.reset();
    endpoint.reset();
    fabric.port.fabric().deregister(landing_memory);
    landing.reset();
    fabric.shares.close(share);
    state = State::kNone;
  }

  // It is up, and something went by it.
  bool works() const { return state == State::kUp && path.stats().bytes_per_s.load() != 0; }

  PeerRecord& peer;
  uint32_t index;  // of the path
  uint32_t rail;   // which of its ways
  FabricRow& fabric;
  RdmaPath path;  // the worker's
  State state = State::kNone;
  uint32_t life = 0;         // the last of this session
  bool refused = false;      // in this session: the peer has none
  bool raised = false;       // the log says that it is down
  uint64_t again_at = 0;     // not called before
  uint64_t again_pause = 0;  // what it was the last time
  uint64_t up_since = 0;     // or called

  // The connection, from kCalling on.
  std::unique_ptr<Landing> landing;
  Registration landing_memory;
  std::unique_ptr<Endpoint> endpoint;
  uint32_t share = 0;
  std::unique_ptr<Connection> connection;

  // How it ends.
  bool stopped = false;  // here, and all that landed is known
  bool over = false;     // with the session: nothing is sent another way
  bool told = false;     // by the peer, what has landed there
  uint64_t stopped_at = 0;
  uint64_t taken = 0;
  std::vector<UnfinishedTransfer> landed;
  std::optional<peer::RdmaCall> called;  // meanwhile, for the next one
};

}  // namespace penstock
