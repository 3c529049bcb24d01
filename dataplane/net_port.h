// NetPort: one worker's queue of a port with an address: frames from the port to the links they are
// for, frames from the links to the port. Owned by control, used by its worker.
//
//   port ──▶ decap ──▶ ARP, ND ──▶ resolver          links ──▶ headers ──▶ port
//                 └──▶ connection id ──▶ link, or the ring of the worker whose link it is
//
// What the port does not take at once waits; no link is asked for more until it went.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/base/drop.h"
#include "dataplane/base/errc.h"
#include "dataplane/base/spsc_ring.h"
#include "dataplane/link/peers.h"
#include "dataplane/link_path.h"
#include "dataplane/net/cookie.h"
#include "dataplane/net/decap.h"
#include "dataplane/net/resolver.h"
#include "dataplane/port.h"
#include "dataplane/wire/hello.h"

namespace penstock {

// Something a link has to tell control.
struct LinkNotice {
  LinkPath* path = nullptr;
  LinkEvent event;
};

class NetPort {
 public:
  struct Config {
    Station station;  // its MAC is the port's
    uint8_t prefix_bits = 24;
    IpAddress gateway;  // kNone: peers beyond the prefix are asked for on the wire
    uint16_t udp_port = 0;
    uint32_t worker = 0;
    uint32_t workers = 1;       // path i of a peer belongs to worker i % workers
    uint64_t cookie_seed = 0;   // 0: cookies nobody can guess; else the same each time
    uint64_t bytes_per_us = 0;  // that this queue can take in; 0: not known
  };

  // `port` outlives this.
  NetPort(Port& port, const Config& config);
  ~NetPort();
  NetPort(const NetPort&) = delete;
  NetPort& operator=(const NetPort&) = delete;

  // --- before it runs ---

  // A peer whose MAC address is known beforehand.
  Errc add_neighbour(const IpAddress& ip, const MacAddress& mac);
  // Frames for links of worker `worker` go to its queue. Both ways, at most 32 workers.
  void add_sibling(uint32_t worker, NetPort& sibling);

  // --- the worker ---

  // A burst in. Returns the number of frames.
  uint32_t receive(uint64_t now);
  // All that may go out, a burst a link and turn. Returns the number of frames.
  uint32_t transmit(uint64_t now);

  // kBusy: its index is taken. The caller keeps it until remove_link(). Starts it.
  Errc add_link(LinkPath* path, uint64_t now);
  void remove_link(LinkPath* path);

  // The next time that something has to be done without a frame coming.
  uint64_t next_deadline(uint64_t now) const;
  // Frames wait for the port to take them, or events for control.
  bool waiting() const { return out_at_ != out_end_ || untold_; }
  // A sleeping worker is woken by the port itself.
  bool wakes() const { return port_.rx_event_fd() >= 0; }

  Port& port() { return port_; }
  const Config& config() const { return config_; }
  // Frames dropped before they reached a link; a link counts its own.
  const DropCounters& drops() const { return drops_; }

  // --- control ---

  bool next_notice(LinkNotice& out) { return notices_.pop({&out, 1}) == 1; }

  // The worker: true once after something was put there for control.
  bool take_noticed() { return std::exchange(noticed_, false); }

 private:
  static constexpr size_t kBurst = 32;
  static constexpr uint64_t kDownNs = 10'000'000;  // between looks at a port that is down
  static constexpr uint32_t kLinks = 4096;         // Link::index_of

  using Handoff = SpscRing<Frame, 256>;
  struct Sibling {
    NetPort* port = nullptr;
    std::unique_ptr<Handoff> in;  // from that worker
  };

  // False: the frame was handed on and is no longer ours.
  bool take(const Frame& frame, uint64_t now);
  bool dispatch(const Frame& frame, const Datagram& d, uint64_t now);
  bool take_hello(const Frame& frame, const Datagram& d, uint64_t now);
  void ask_for_cookie(LinkPath& path, const Datagram& d, const Hello& h, uint64_t now);
  void give(LinkPath* path, const Datagram& d, uint64_t now);
  bool hand_over(uint32_t worker, const Frame& frame);
  uint32_t receive_handoffs(uint64_t now);
  void answer(std::span<const std::byte> frame, uint64_t now);
  void ask_neighbours(uint64_t now);
  void resolve(LinkPath& path, uint64_t now);
  uint32_t send_link(LinkPath& path, uint64_t now);
  size_t send_frames(LinkPath& path, size_t most, uint64_t now);
  Frame* send_raw(std::span<const std::byte> frame);
  void set_offloads(Frame& f, const LinkPath& path) const;
  bool flush();
  void collect(LinkPath& path);

  Port& port_;
  Config config_;
  CookieJar cookies_;
  uint32_t retries_ = 0;
  Resolver resolver_;
  Inflow inflow_;
  Peers peers_;
  uint64_t looked_at_ = 0;  // last receive()
  uint64_t waited_ns_ = 0;  // from the one before to that
  uint64_t seen_changes_ = 0;
  std::vector<LinkPath*> links_;
  std::vector<LinkPath*> by_index_;
  size_t turn_ = 0;
  std::array<Sibling, 32> siblings_;

  std::array<Frame, kBurst> spare_;  // allocated, empty
  size_t spares_ = 0;
  std::array<TxFrame, kBurst> tx_;  // of one call of a link
  std::array<Frame, kBurst> out_;   // ready to go
  size_t out_at_ = 0;
  size_t out_end_ = 0;
  DropCounters drops_;
  bool noticed_ = false;
  bool untold_ = false;  // a link has events for which there was no room
  SpscRing<LinkNotice, 256> notices_;
};

}  // namespace penstock
