#include "drivers/dpdk/device.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>

#include "drivers/dpdk/dpdk_log.h"
#include "drivers/dpdk/ethdev.h"
#include "drivers/dpdk/interface.h"
#include "drivers/dpdk/peer_door.h"
#include "drivers/dpdk/socket_path.h"

namespace penstock {
namespace {

// Long after the last burst that a worker may have been in when the link went down.
constexpr std::chrono::seconds kMemifPatience{1};
constexpr int kXdpAttempts = 20;
unsigned next_index = 0;  // control thread only

bool has_own_mac(PortKind kind) {
  return kind == PortKind::kPci || kind == PortKind::kAfPacket || kind == PortKind::kAfXdp;
}

bool is_memif(PortKind kind) {
  return kind == PortKind::kMemifServer || kind == PortKind::kMemifClient;
}

std::array<uint8_t, 6> to_mac(const std::string& text) {
  unsigned b[6] = {};
  sscanf(text.c_str(), "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]);
  std::array<uint8_t, 6> out;
  for (size_t i = 0; i < 6; i++)
    out[i] = static_cast<uint8_t>(b[i]);
  return out;
}

// What a user other than root lacks, as the end of a sentence.
const char* needs(PortKind kind) {
  if (geteuid() == 0) return "";
  switch (kind) {
    case PortKind::kAfPacket:
      return "; it needs the capabilities net_raw and net_admin";
    case PortKind::kAfXdp:
      return "; it needs the capabilities net_raw, net_admin, sys_admin, bpf and ipc_lock";
    case PortKind::kTap:
      return "; it needs the capability net_admin";
    default:
      return "";
  }
}

std::string waits_for(const PortSpec& spec) {
  switch (spec.kind) {
    case PortKind::kVhost:
      return "down: waiting for a virtio-user peer to make " + spec.target;
    case PortKind::kVirtioUser:
      return "down: waiting for a vhost peer to connect to " + spec.target;
    case PortKind::kMemifServer:
      return "down: waiting for a memif client to connect to " + spec.target;
    case PortKind::kMemifClient:
      return "down: waiting for a memif server at " + spec.target;
    default:
      return "down";
  }
}

}  // namespace

DpdkDevice::DpdkDevice(const PortSpec& spec)
    : spec_(spec),
      text_(text(spec)),
      index_(next_index++),
      name_(device_name(spec, index_)),
      mac_(stable_mac(text_)),
      status_(waits_for(spec)) {
  for (uint16_t q = 0; q < spec.queues; q++) {
    queues_.push_back(std::make_unique<DpdkPort>(*this));
  }
}

OrSentence<std::unique_ptr<DpdkDevice>> DpdkDevice::open(const PortSpec& spec) {
  std::unique_ptr<DpdkDevice> device(new DpdkDevice(spec));
  take_dpdk_log();  // what follows is about this port
  if (Fault why = device->make()) return sentence("port " + device->text_ + ": " + *why);
  return device;
}

DpdkDevice::Fault DpdkDevice::make() {
  if (spec_.kind == PortKind::kAfPacket || spec_.kind == PortKind::kAfXdp) {
    if (std::string why = interface_fault(spec_); !why.empty()) return why;
  }
  if (spec_.kind == PortKind::kAfXdp) keep_xdp_log();
  if (spec_.kind == PortKind::kMemifServer) {
    const std::string why = clear_socket_path(spec_.target);
    if (!why.empty()) return spec_.target + " " + why;
  }
  if (spec_.kind == PortKind::kVirtioUser) {
    auto door = PeerDoor::open(spec_.target);
    if (!door) return door.error();
    door_ = *std::move(door);
    if (Fault why = make_pools()) return why;
    promise(abilities(spec_.kind));
    waiter_ = std::thread([this] { wait_for_peer(); });
    return std::nullopt;
  }
  Fault why = come_up();
  // The kernel lets go of an XDP socket a moment after its process has.
  for (int i = 0; why && spec_.kind == PortKind::kAfXdp && i < kXdpAttempts; i++) {
    shut();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    take_dpdk_log();
    why = come_up();
  }
  return why;
}

DpdkDevice::Fault DpdkDevice::come_up() {
  if (spec_.kind == PortKind::kRing) {
    if (Fault why = make_pools()) return why;
    auto end = join_ring(spec_, index_, pools_);
    if (!end) return end.error();
    ring_ = *end;
    port_ = ring_.port;
    mac_ = stable_mac(text_ + std::to_string(ring_.side));
  } else {
    if (Fault why = probe()) return why;
    if (Fault why = make_pools()) return why;
  }
  if (Fault why = set_up()) return *why + needs(spec_.kind);
  const int rc = rte_eth_dev_start(port_);
  if (rc == 0) {
    run();
  } else if (spec_.kind == PortKind::kMemifClient) {
    waiter_ = std::thread([this] { wait_for_peer(); });
  } else {
    return std::string("it does not start: ") + strerror(-rc) + last_dpdk_words();
  }
  return std::nullopt;
}

DpdkDevice::Fault DpdkDevice::probe() {
  if (spec_.kind != PortKind::kPci) {
    const int rc = rte_vdev_init(name_.c_str(), device_arguments(spec_, mac_).c_str());
    if (rc != 0) {
      return std::string("DPDK refuses it: ") + strerror(-rc) + last_dpdk_words() +
             needs(spec_.kind);
    }
  }
  if (rte_eth_dev_get_port_by_name(name_.c_str(), &port_) != 0) {
    port_ = kNoPort;
    if (spec_.kind != PortKind::kPci) return "DPDK did not make it" + last_dpdk_words();
    return "no such NIC, or no driver of DPDK holds it; bind it to vfio-pci (dpdk-devbind.py), or "
           "for a Mellanox NIC load mlx5_core" +
           last_dpdk_words();
  }
  return std::nullopt;
}

DpdkDevice::Fault DpdkDevice::make_pools() {
  const int node = port_ == kNoPort ? SOCKET_ID_ANY : rte_eth_dev_socket_id(port_);
  pools_.reset();
  auto pools = Pools::make(spec_, index_, node);
  if (!pools) return pools.error();
  pools_ = *pools;
  return std::nullopt;
}

DpdkDevice::Fault DpdkDevice::set_up() {
  const auto got = configure(port_, spec_, *pools_);
  if (!got) return got.error();
  if (spec_.kind == PortKind::kPci) rte_eth_allmulticast_enable(port_);  // neighbour discovery
  // A worker may look at a virtio-user port already; configure() saw to it that the promise holds.
  if (spec_.kind != PortKind::kVirtioUser) promise(*got);
  return std::nullopt;
}

// What the ports say of themselves. Before a worker sees them.
void DpdkDevice::promise(const Abilities& abilities) {
  PortInfo info;
  info.name = text_.c_str();
  info.mac = to_mac(mac_);
  rte_ether_addr own{};
  if (has_own_mac(spec_.kind) && rte_eth_macaddr_get(port_, &own) == 0) {
    memcpy(info.mac.data(), own.addr_bytes, info.mac.size());
  }
  info.max_frame = spec_.max_frame();
  info.chains = abilities.chains;
  info.tx_udp_checksum = abilities.tx_udp_checksum;
  info.tx_ip_checksum = abilities.tx_ip_checksum;
  info.rx_checksum = abilities.rx_checksum;
  for (auto& queue : queues_) {
    queue->info_ = info;
    queue->setup_.headers = pools_->headers;
    queue->setup_.payloads = pools_->payloads;
    queue->setup_.chains = abilities.chains;
    queue->setup_.is_ring = spec_.kind == PortKind::kRing;
  }
}

// From here on frames move.
void DpdkDevice::run() {
  for (uint16_t q = 0; q < spec_.queues; q++) {
    queues_[q]->setup_.port = port_;
    queues_[q]->setup_.queue = q;
  }
  const std::lock_guard lock(mutex_);
  running_ = true;
  up_at_ = Clock::now();
  look();
}

void DpdkDevice::refresh() {
  const std::lock_guard lock(mutex_);
  if (!running_) return;
  look();
  if (spec_.kind == PortKind::kMemifClient && Clock::now() - up_at_ > kMemifPatience) {
    connect_again();
  }
}

// Under mutex_.
void DpdkDevice::look() {
  rte_eth_link link{};
  const bool up = rte_eth_link_get_nowait(port_, &link) == 0 && link.link_status != 0;
  status_ = up ? "up" : waits_for(spec_);
  // A memif port without a peer is left alone: it loses its memory when the peer goes.
  const bool usable = up || !is_memif(spec_.kind);
  for (auto& queue : queues_) {
    queue->state_.store((usable ? uint64_t{DpdkPort::kRunning} : 0) |
                        (up ? uint64_t{DpdkPort::kLinkUp} : 0));
  }
  if (up) up_at_ = Clock::now();
  rte_eth_stats counted{};
  if (rte_eth_stats_get(port_, &counted) != 0) return;
  stats_ = {.rx_missed = counted.imissed,
            .rx_errors = counted.ierrors,
            .rx_no_buffer = counted.rx_nombuf,
            .tx_errors = counted.oerrors,
            .buffers = pools_->size(),
            .buffers_free = pools_->unused()};
}

uint64_t DpdkDevice::mbps() const {
  rte_eth_link link{};
  if (spec_.kind != PortKind::kPci || rte_eth_link_get_nowait(port_, &link) != 0) return 0;
  if (link.link_status != 0 && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN) return link.link_speed;
  // The two ends have not agreed yet: the most that it can.
  rte_eth_dev_info info{};
  if (rte_eth_dev_info_get(port_, &info) != 0) return 0;
  for (const uint32_t speed : {400'000u, 200'000u, 100'000u, 56'000u, 50'000u, 40'000u, 25'000u,
                               20'000u, 10'000u, 5'000u, 2'500u, 1'000u})
    if ((info.speed_capa & rte_eth_speed_bitflag(speed, RTE_ETH_LINK_FULL_DUPLEX)) != 0)
      return speed;
  return 0;
}

DeviceStats DpdkDevice::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

std::string DpdkDevice::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace penstock
