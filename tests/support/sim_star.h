// SimStar: hosts around one simulated switch, each with a true worker, NetPort and links, on
// virtual time. Lanes go from one host to others; what arrives is checked by a ledger each.
//
//   publisher ▶ lane ─▶ Forward ─▶ Link, NetPort, SimPort ─ switch ─ ... ─▶ mirror ▶ reader
//                  └──▶ Forward ─▶ ...
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/forward.h"
#include "dataplane/link_path.h"
#include "dataplane/net_port.h"
#include "dataplane/worker.h"
#include "drivers/sim/sim_net.h"
#include "tests/support/ledger.h"
#include "tests/support/star_rails.h"
#include "tests/support/test_lane.h"

namespace penstock::test {

class SimStar {
 public:
  static constexpr uint16_t kUdpPort = 9470;

  struct Config {
    uint64_t seed = 1;
    uint32_t hosts = 2;
    SimPortConfig port;
    LinkConfig link;           // ids and sizes are set by the star
    bool credits = true;       // receivers share what their port can take
    uint64_t chain_from = 0;   // messages from this size on go down a chain; 0: none do
    uint32_t rdma_gbps = 0;    // of a device that each host has, too; 0: none
    uint32_t slow_device = 0;  // host whose device sends at a hundredth; 0: none
    uint64_t put_from = 64 << 10;
  };

  // What one host publishes, to any number of others.
  struct Source {
    Source(uint32_t on, const LaneGeometry& geometry, uint64_t len, uint64_t count, uint64_t from)
        : host(on), size(len), total(count), lane(geometry, 100 + on), chain(from) {}

    uint32_t host;
    uint64_t size;   // of each message
    uint64_t total;  // messages
    uint64_t published = 0;
    TestLane lane;
    Chain chain;
  };

  // One receiver of a source.
  struct Flow {
    Flow(Source& from, uint32_t to, uint32_t alias, LinkPath& path, const LaneGeometry& geometry,
         bool chained);

    bool done() const { return dead || got == source.total; }

    Source& source;
    uint32_t host;
    TestLane mirror;
    Forward forward;
    InLane in;
    LaneReader reader;
    bool out_added = false;
    bool in_added = false;
    bool dead = false;    // its host is
    bool paused = false;  // it does not read
    uint64_t got = 0;
    uint64_t wrong = 0;    // not the next one, or not its bytes
    uint64_t done_at = 0;  // virtual time of the last
  };

  explicit SimStar(const Config& config);
  ~SimStar();

  Source& publish(uint32_t host, const LaneGeometry& geometry, uint64_t size, uint64_t total);
  Flow& subscribe(uint32_t host, Source& source, const LaneGeometry& mirror);

  // Every link that subscribe() made is up.
  bool connect();
  // The host is gone: nothing comes from it or to it any more.
  void kill(uint32_t host);
  // Its worker stands still.
  void stall(uint32_t host, uint64_t until) { hosts_[host]->stalled_until = until; }
  // Publishes and reads as fast as it goes until all flows are done; false: not within `limit_ns`.
  bool run(uint64_t limit_ns);
  // The same until `done`.
  bool run(uint64_t limit_ns, const std::function<bool()>& done);

  uint64_t now() const { return now_; }
  SimNet& net() { return net_; }
  SimPort& port(uint32_t host) { return *hosts_[host]->port; }
  std::vector<std::unique_ptr<Flow>>& flows() { return flows_; }
  const StarRails& rails() const { return *rails_; }
  const LinkStats& link_stats(uint32_t host, uint32_t peer) const {
    return hosts_[host]->paths[peer]->link.stats();
  }
  const RelayStats& relay_stats(uint32_t host, uint32_t peer) const {
    return hosts_[host]->paths[peer]->link.relay_stats();
  }

 private:
  struct Host {
    SimPort* port = nullptr;
    std::unique_ptr<NetPort> net;
    std::unique_ptr<Worker> worker;
    std::vector<std::unique_ptr<LinkPath>> paths;  // by peer
    std::vector<uint64_t> sessions;                // likewise
    uint64_t stalled_until = 0;
  };

  static constexpr uint64_t kTurnNs = 200;

  static IpAddress address(uint32_t host);
  LinkPath& path(uint32_t host, uint32_t peer);
  void take_notices(uint32_t host);
  void join_rails();
  void bury();
  bool application();
  void step();
  bool run_until(const std::function<bool()>& done, uint64_t limit_ns);

  Config config_;
  SimNet net_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::unique_ptr<StarRails> rails_;  // goes before the links that its rails are beside
  std::vector<std::unique_ptr<Source>> sources_;
  std::vector<std::unique_ptr<Flow>> flows_;
  uint64_t now_ = 1'000'000'000;
};

}  // namespace penstock::test
