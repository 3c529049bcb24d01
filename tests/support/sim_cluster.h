// SimCluster: many true nodes in one process, on virtual time: control threads, workers, ports and
// clients, turned one after the other on one thread. Nodes die, stall and come back; so do clients.
// Everything follows from one seed: the same seed is the same run, which trace() proves.
//
//   SimClient ──socket, lanes──▶ [ Node, its workers, a NetPort and SimPort for each ] ─┐
//   SimClient ──socket, lanes──▶ [ ...                                               ] ─┤ SimNet
//                                [ an old life of a node, beside the new one         ] ─┘
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/node/node.h"
#include "drivers/sim/sim_fabric.h"
#include "drivers/sim/sim_net.h"
#include "tests/support/cluster_ledger.h"
#include "tests/support/sim_client.h"

namespace penstock::test {

class SimCluster {
 public:
  struct Config {
    uint64_t seed = 1;
    uint32_t nodes = 3;
    uint32_t workers = 1;
    uint64_t turn_ns = 5'000;   // of a worker, when there is work
    uint64_t poll_ns = 20'000;  // of a control thread, likewise
    uint64_t act_ns = 100'000;  // of a client: between half and twice that
    SimPortConfig port;
    std::vector<SimNet::Way> ways;
    LinkConfig link;  // ids and sizes are set by the cluster
    LaneGeometry lane{.ring_log2 = 6, .arena_log2 = 17, .topics = 4};
    LaneGeometry mirror{.ring_log2 = 5, .arena_log2 = 14, .topics = 4};
    LaneGeometry inbox{.ring_log2 = 4, .arena_log2 = 14, .topics = 4};
    uint64_t chain_from_bytes = 0;
    uint32_t rails = 0;  // devices that each worker has, too; of node 1 at most two
    SimFabricConfig fabric;
    uint64_t put_from_bytes = 1'500;
    uint64_t stripe_from_bytes = 2'000;
    uint64_t put_wait_ns = 100'000'000;
    bool strangers = false;  // nobody runs, and nobody is called, until somebody says so
  };

  // One life of a node.
  struct Host {
    uint32_t index = 0;
    uint32_t life = 1;            // also its epoch
    bool old = false;             // a newer life runs
    std::vector<SimPort*> ports;  // one a worker
    std::vector<std::unique_ptr<NetPort>> nets;
    std::vector<SimFabric*> fabrics;  // `rails` a worker
    std::unique_ptr<Node> node;
    std::vector<std::unique_ptr<SimClient>> clients;
    std::vector<uint64_t> stalled_until;  // by worker; the last: the control thread
    uint64_t next_poll = 0;
    uint64_t poll_pause = 0;
    std::vector<uint64_t> next_act;  // by client
    std::vector<bool> members;       // by node: whom it calls
    uint32_t calls = 0;              // peers that it was given
    uint32_t gone = 0;               // of these, removed and gone

    ~Host();
  };

  explicit SimCluster(const Config& config);
  ~SimCluster();

  uint64_t now() const { return now_; }
  SimNet& net() { return net_; }
  uint64_t trace() const { return net_.trace() ^ fabrics_.trace(); }
  ClusterLedger& ledger() { return ledger_; }
  uint32_t nodes() const { return config_.nodes; }
  bool runs(uint32_t i) const { return hosts_[i] != nullptr; }
  Host& host(uint32_t i) { return *hosts_[i]; }
  const std::vector<std::unique_ptr<Host>>& old_hosts() const { return old_; }

  void start(uint32_t i);
  // It dies, and its clients with it.
  void kill(uint32_t i);
  // It starts anew, and the life before goes on beside it until end_old().
  void start_beside(uint32_t i);
  void end_old();
  // Not before `until` does it turn: a worker, or its control thread (part == workers).
  void stall(uint32_t i, uint32_t part, uint64_t until) { hosts_[i]->stalled_until[part] = until; }
  // Whether frames get from one node to another.
  void join(uint32_t from, uint32_t to, bool joined);
  bool joined(uint32_t from, uint32_t to) const { return joined_[from * config_.nodes + to]; }
  // Whether a node has another as its peer. One that was removed is added again when it is gone.
  void set_member(uint32_t i, uint32_t peer, bool member);
  // The node calls a peer that it does not have; lives before `least` are not let in.
  void call(Host& host, uint32_t peer, uint64_t least) {
    call(host, peer, least, [&](uint32_t worker) { return address(peer, worker); });
  }
  void call(Host& host, uint32_t peer, uint64_t least,
            const std::function<IpAddress(uint32_t worker)>& where);
  // Of strangers each life has another.
  static IpAddress address(uint32_t node, uint32_t worker, uint32_t life = 0);

  SimClient& add_client(uint32_t i);
  void remove_client(uint32_t i, size_t which);

  // How much clients do.
  SimClient::Pace pace;
  // What else happens at each step, every few milliseconds at least.
  std::function<void()> beside;

  // One turn of everybody; then time goes on to where something happens next.
  void step();
  bool run_until(const std::function<bool()>& done, uint64_t limit_ns);
  void run_for(uint64_t ns);

  // A node has an inbox of the group beside that of its first member, who is at `node`, or at
  // another node there is a mirror that only the group may have read.
  bool group_lingers(uint32_t node, std::string_view filter) const;
  // So many messages more of each publisher that there is, then none.
  void finish(uint64_t messages);
  // The end of a run: what was published, and a little more at this pace, gets to everybody who
  // wants it, and comes to rest. False: not in time.
  bool deliver_the_rest(uint32_t publish);

  // Every client was answered all it asked.
  bool settled() const;
  // sent = delivered + dropped + in flight for every reader of every node, and nothing in flight.
  // Empty: so it is.
  std::string books() const;
  // Bytes that the nodes there are have passed on for others.
  uint64_t relayed() const;
  // And that went by RDMA, ever; and errors of devices that must not be.
  uint64_t put_bytes() const { return put_bytes_; }
  uint64_t passed_on() const { return passed_on_; }  // messages, by relays, by RDMA
  uint64_t revoked() const { return revoked_; }      // connections that ended for a place's sake
  uint64_t striped() const { return striped_; }      // messages that went by several rails
  uint64_t misuse() const { return misuse_; }
  std::string state() const;
  // All nodes end. Returns the frames and references that were not given back.
  size_t stop();

 private:
  static constexpr uint64_t kMostPause = 4'000'000;

  void close(Host& host);
  std::unique_ptr<Host> make(uint32_t i, uint32_t life);
  uint32_t turn(Host& host);
  uint64_t next_event(const Host& host) const;
  void part_ports();
  bool every_client(const std::function<bool(const SimClient&)>& holds) const;

  Config config_;
  Random random_;
  SimNet net_;
  SimFabricNet fabrics_;
  uint64_t put_bytes_ = 0;
  uint64_t striped_ = 0;
  uint64_t passed_on_ = 0;
  uint64_t revoked_ = 0;
  uint64_t misuse_ = 0;
  ClusterLedger ledger_;
  std::vector<std::unique_ptr<Host>> hosts_;  // null: it is dead
  std::vector<uint32_t> lives_;
  std::vector<std::unique_ptr<Host>> old_;
  std::vector<bool> joined_;
  uint64_t clients_ = 0;  // that there ever were
  uint64_t now_ = 1'000'000'000;
  std::vector<std::string> log_;  // the last lines
  std::string faults_;            // of clients that are no more
};

}  // namespace penstock::test
