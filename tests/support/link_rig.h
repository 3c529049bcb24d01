// LinkRig: two links joined by a SimNet, and what a worker does around them, on virtual time.
//
//   flows: publisher ▶ lane ▶ [side 0: Link, SimPort] ─ SimNet ─ [side 1: Link, SimPort] ▶ mirror ▶
//   reader
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/link/link.h"
#include "drivers/sim/sim_net.h"
#include "tests/support/flow.h"

namespace penstock::test {

struct RigConfig {
  uint64_t seed = 1;
  SimPortConfig port;
  LinkConfig link;  // ids are set by the rig; max_frame by the port's
};

class LinkRig {
 public:
  struct Side {
    SimPort* port = nullptr;
    std::unique_ptr<Link> link;
    std::vector<Frame> unsent;
    std::vector<LinkEvent> events;  // all there were
    bool running = true;            // false: its worker does nothing
  };

  explicit LinkRig(const RigConfig& config);
  ~LinkRig();

  Side& side(size_t i) { return sides_[i]; }
  Link& link(size_t i) { return *sides_[i].link; }
  SimNet& net() { return net_; }
  uint64_t now() const { return now_; }

  // Starts both.
  void start();
  // The node of side `i` starts anew: another link, with `epoch`.
  void restart(size_t i, uint64_t epoch);

  // A lane from side `from` to the other. Attached whenever a session comes up, once.
  Flow& add_flow(size_t from, const FlowConfig& config);
  std::vector<std::unique_ptr<Flow>>& flows() { return flows_; }

  // One turn of both sides; then time goes on by a turn, or to the next thing that happens.
  void step();
  // Turns until `done` or `limit_ns` have passed; says which.
  bool run_until(const std::function<bool()>& done, uint64_t limit_ns);
  void run_for(uint64_t ns);
  bool up() const { return sides_[0].link->up() && sides_[1].link->up(); }
  bool connect(uint64_t limit_ns = 60'000'000'000) {
    start();
    return run_until([this] { return up(); }, limit_ns);
  }

  // What a side's link has seen, for a message that a test failed.
  std::string text(size_t i) const;

  // Publishing and reading is up to the test: called each turn, and again while it says true.
  std::function<bool()> application;

  // What each side sends, before it goes: the frame from the hop header on. May change it.
  std::function<void(size_t side, std::span<std::byte>)> tap;

 private:
  static constexpr size_t kBurst = 32;
  static constexpr uint64_t kTurnNs = 500;
  static constexpr uint32_t kEthernet = 14;

  void make_link(size_t i, uint64_t epoch);
  bool turn(size_t i);
  void take_events(size_t i);
  bool send(size_t i);
  void flush(Side& s);

  RigConfig config_;
  SimNet net_;
  std::array<Side, 2> sides_;
  std::array<uint64_t, 2> starts_{};
  std::vector<size_t> from_;
  std::vector<std::array<bool, 2>> attached_;
  std::vector<std::unique_ptr<Flow>> flows_;
  uint64_t now_ = 1'000'000'000;
};

}  // namespace penstock::test
