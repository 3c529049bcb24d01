// UdpCarrier: the frames of the emulated fabric as UDP datagrams on a Port that is its alone. Peers
// are on the same Ethernet: a place names their MAC address, so nobody has to be asked for it.
//
//   frame ──▶ [ Ethernet | IP | UDP ][ frame ] ──▶ port        port ──▶ decap ──▶ frame
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/counter.h"
#include "dataplane/net/address.h"
#include "dataplane/net/encap.h"
#include "dataplane/port.h"
#include "rdma/emulated/carrier.h"

namespace penstock {

class UdpCarrier final : public Carrier {
 public:
  static constexpr uint32_t kRoutes = 256;

  // The port outlives it. `us`: its MAC address, and one IP address. Of two the IPv4 one is used.
  UdpCarrier(Port& port, const Station& us, uint16_t udp_port);

  // Worker, once a turn, before it polls the fabric.
  void set_now(uint64_t now) { now_ = now; }

  const char* name() const override { return port_.info().name; }
  CarrierPlace place() const override;
  uint32_t max_frame() const override {
    return port_.info().max_frame - static_cast<uint32_t>(header_);
  }
  uint32_t max_routes() const override { return kRoutes; }
  Result<uint32_t> take_route(const CarrierPlace& to) override;
  void leave_route(uint32_t route) override { taken_[route] = false; }
  uint64_t now() override { return now_; }
  bool up() override { return port_.link_up(); }
  std::span<CarrierFrame> alloc() override;
  void send() override;
  std::span<const std::span<const std::byte>> receive() override;
  void release() override;

  // Written by the worker.
  struct Stats {
    Counter foreign;  // received, and no datagram for this station and port, or damaged
    Counter tx_full;  // frames that the port did not take: lost, and sent again when they are due
  };
  const Stats& stats() const { return stats_; }

 private:
  const IpAddress& ip() const { return us_.v4.is_v4() ? us_.v4 : us_.v6; }

  Port& port_;
  Station us_;
  uint16_t udp_port_;
  size_t header_;
  // Written by control; a route by the worker while it is taken.
  std::array<Encap, kRoutes> routes_;
  std::array<bool, kRoutes> taken_{};
  // Written by the worker.
  uint64_t now_ = 0;
  Stats stats_;
  std::array<Frame, kBurst> tx_;
  std::array<CarrierFrame, kBurst> out_;
  size_t allocated_ = 0;
  std::array<Frame, kBurst> rx_;
  std::array<std::span<const std::byte>, kBurst> in_;
  size_t received_ = 0;
};

}  // namespace penstock
