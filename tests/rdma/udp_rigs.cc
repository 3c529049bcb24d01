// The emulated fabric under test: UDP on two simulated ports, over a quiet net and over nasty ones.
#include "drivers/sim/sim_net.h"
#include "drivers/udp/udp_carrier.h"
#include "rdma/emulated/emulated_fabric.h"
#include "tests/rdma/fabric_rig.h"
#include "tests/support/seeds.h"

namespace penstock::test {
namespace {

constexpr uint16_t kUdpPort = 4793;
constexpr uint64_t kTimeoutNs = 20'000'000;

class UdpRig final : public FabricRig {
 public:
  UdpRig(uint64_t seed, const SimPortConfig& port, const EmulatedFabricConfig& config, bool v6)
      : net_(seed) {
    for (unsigned s = 0; s < 2; s++) {
      ports_[s] = &net_.add_port(port);
      const auto ip = parse_ip((v6 ? "fd00::" : "10.0.0.") + std::to_string(s + 1));
      Station us{.mac = {ports_[s]->info().mac}, .v4 = {}, .v6 = {}};
      (v6 ? us.v6 : us.v4) = *ip;
      carriers_[s] = std::make_unique<UdpCarrier>(*ports_[s], us, kUdpPort);
      EmulatedFabricConfig c = config;
      c.seed = seed * 2 + s + 1;
      fabrics_[s] = std::make_unique<EmulatedFabric>(*carriers_[s], c);
    }
  }

  Fabric& fabric(unsigned side) override { return *fabrics_[side]; }
  bool turn() override {
    net_.advance(net_.now() + 2000);
    // What hardware does by itself, this does when it is polled, be it for nothing.
    for (unsigned s = 0; s < 2; s++) {
      carriers_[s]->set_now(net_.now());
      (void)fabrics_[s]->poll({}, {});
    }
    if (net_.now() >= mended_at_) cut(0, false);
    return ++turns_ < 200'000;
  }
  void rest() override { turns_ = 0; }
  bool set_port(unsigned side, bool up) override {
    ports_[side]->faults.cut = !up;
    net_.join(*ports_[1 - side], *ports_[side], up);
    return true;
  }
  // Silence one way, for longer than a timeout: either what was sent is lost, or all that the peer
  // says of it.
  bool break_next(unsigned side, FabricCode code, bool arrives) override {
    if (code != FabricCode::kTimeout) return false;
    cut(arrives ? 1 - side : side, true);
    mended_at_ = net_.now() + kTimeoutNs * 3 / 2;
    return true;
  }

 private:
  void cut(unsigned from, bool cut) {
    for (unsigned s = 0; s < 2; s++)
      if (!cut || s == from) net_.join(*ports_[s], *ports_[1 - s], !cut);
    mended_at_ = ~uint64_t{0};
  }

  SimNet net_;
  uint64_t mended_at_ = ~uint64_t{0};
  SimPort* ports_[2];
  std::unique_ptr<UdpCarrier> carriers_[2];
  std::unique_ptr<EmulatedFabric> fabrics_[2];
  uint64_t turns_ = 0;
};

// Virtual time: a round trip is some microseconds, so a silent peer is one of some milliseconds.
constexpr EmulatedFabricConfig kQuick{.send_depth = 256,
                                      .receive_depth = 128,
                                      .first_rto_ns = 100'000,
                                      .least_rto_ns = 30'000,
                                      .timeout_ns = kTimeoutNs};

std::unique_ptr<FabricRig> plain(uint64_t seed) {
  return std::make_unique<UdpRig>(seed, SimPortConfig{}, kQuick, false);
}

// Loses, doubles, damages, also so that the checksum of UDP does not see it, and swaps.
std::unique_ptr<FabricRig> nasty(uint64_t seed) {
  EmulatedFabricConfig c = kQuick;
  c.send_depth = 32;
  c.receive_depth = 72;
  return std::make_unique<UdpRig>(seed,
                                  SimPortConfig{.faults = {.lose = 30'000,
                                                           .lose_run = 3,
                                                           .duplicate = 20'000,
                                                           .damage = 10'000,
                                                           .forge = 10'000,
                                                           .reorder = 100'000,
                                                           .jitter_ns = 5000}},
                                  c, true);
}

// Large frames, a slow cable, a buffer that overflows, and few frames at once.
std::unique_ptr<FabricRig> narrow(uint64_t seed) {
  return std::make_unique<UdpRig>(seed,
                                  SimPortConfig{.max_frame = 9014,
                                                .tx_room = 40,
                                                .tx_ns = 3000,
                                                .buffers = 96,
                                                .rx_queue = 48,
                                                .gbps = 25,
                                                .switch_room = 100'000,
                                                .faults = {.lose = 5000}},
                                  kQuick, false);
}

}  // namespace

std::vector<FabricRigMaker> fabric_rigs() {
  return {{"udp", "", seeds(10), plain},
          {"udp_nasty", "", seeds(10), nasty},
          {"udp_narrow", "", seeds(5), narrow}};
}

}  // namespace penstock::test
