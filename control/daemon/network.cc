#include "control/daemon/network.h"

#include <fmt/format.h>
#include <random>

namespace penstock {
namespace {

OrSentence<PortSpec> spec_of(const PortOptions& port, uint32_t workers) {
  return parse_port(port.device, port.mtu.value_or(0), static_cast<uint16_t>(workers));
}

std::function<DeviceLosses()> losses_of(const DpdkDevice& device) {
  return [&device] {
    const DeviceStats s = device.stats();
    return DeviceLosses{s.rx_missed + s.rx_no_buffer, s.rx_errors, s.tx_errors, s.buffers,
                        s.buffers_free};
  };
}

constexpr uint32_t kMostLinks = 4096;  // places in a NetPort

// A path over one of the others has no queue but its two ends' own.
bool crosses_a_network(PortKind kind) {
  return kind == PortKind::kPci || kind == PortKind::kAfPacket || kind == PortKind::kAfXdp ||
         kind == PortKind::kTap;
}

// Paths differ by their source ports, so that switches spread them; so many are left for each.
constexpr uint32_t kPortsApart = 257;

}  // namespace

std::vector<std::string> pci_addresses(const Config& config) {
  std::vector<std::string> all;
  for (const PortOptions& p : config.ports)
    if (const auto spec = spec_of(p, config.workers.count); spec && spec->kind == PortKind::kPci)
      all.push_back(spec->target);
  return all;
}

OrSentence<std::unique_ptr<Network>> Network::open(const Config& config, const Plan& plan) {
  std::unique_ptr<Network> net(new Network);
  if (config.ports.empty()) return net;
  std::vector<PortSpec> specs;
  for (const PortOptions& p : config.ports) {
    auto spec = spec_of(p, config.workers.count);
    if (!spec) return sentence(fmt::format("port '{}': {}", p.name, spec.error()));
    if (spec->queues != config.workers.count)
      return sentence(
          fmt::format("port '{}': its device says queues={}, but each of the {} workers "
                      "needs one; leave it out",
                      p.name, spec->queues, config.workers.count));
    specs.push_back(*spec);
  }
  EalOptions options;
  options.ports = specs;
  options.huge = config.memory.hugepages == HugePages::kNever     ? UseHugePages::kNever
                 : config.memory.hugepages == HugePages::kRequire ? UseHugePages::kRequire
                                                                  : UseHugePages::kAuto;
  options.buffers_bytes = config.memory.buffers_bytes;
  auto eal = Eal::start(plan, options);
  if (!eal) return sentence(eal.error());
  net->eal_ = std::move(*eal);
  for (size_t i = 0; i < specs.size(); i++) {
    auto device = DpdkDevice::open(specs[i]);
    if (!device)
      return sentence(fmt::format("port '{}': {}", config.ports[i].name, device.error()));
    net->devices_.push_back(std::move(*device));
  }
  return net;
}

Network::~Network() {
  queues_.clear();
  devices_.clear();
}

const std::string& Network::warning() const {
  static const std::string kNone;
  return eal_ != nullptr ? eal_->warning() : kNone;
}

void Network::refresh() {
  for (auto& d : devices_)
    d->refresh();
}

// Each worker has a queue of each port: its lanes must be able to leave through any.
void Network::join(Node& node, const Config& config, uint64_t epoch) {
  for (size_t i = 0; i < config.ports.size(); i++) {
    const PortOptions& p = config.ports[i];
    for (uint32_t q = 0; q < config.workers.count; q++) {
      Port& port = devices_[i]->queue(static_cast<uint16_t>(q));
      NetPort::Config c;
      c.station.mac.bytes = port.info().mac;
      (p.address.address.is_v4() ? c.station.v4 : c.station.v6) = p.address.address;
      c.prefix_bits = p.address.bits;
      if (p.gateway) c.gateway = *p.gateway;
      c.udp_port = p.udp_port;
      c.worker = q;
      c.workers = config.workers.count;
      c.bytes_per_us = devices_[i]->mbps() / 8 / config.workers.count;
      queues_.push_back({i, q, std::make_unique<NetPort>(port, c)});
      NetPort& net = *queues_.back().net;
      for (const Neighbour& n : p.neighbours)
        (void)net.add_neighbour(n.address, n.mac);
      for (const PeerOptions& peer : config.peers)
        if (peer.port == p.name && peer.mac) (void)net.add_neighbour(peer.address, *peer.mac);
      node.add_port({.name = p.name,
                     .device = p.device,
                     .address = fmt::format("{}/{}", format(p.address.address), p.address.bits),
                     .mtu = devices_[i]->spec().mtu,
                     .worker = q,
                     .queue = q,
                     .net = &net,
                     .status = [device = devices_[i].get()] { return device->status(); },
                     .losses = q == 0 ? losses_of(*devices_[i]) : nullptr});
    }
  }
  for (Queue& a : queues_)
    for (Queue& b : queues_)
      if (a.port == b.port && a.worker != b.worker) a.net->add_sibling(b.worker, *b.net);

  for (const PeerOptions& peer : config.peers)
    (void)add_peer(node, config, epoch, peer);
}

bool Network::add_peer(Node& node, const Config& config, uint64_t epoch, const PeerOptions& peer,
                       uint64_t least) {
  if (kMostLinks - links_ + free_links_.size() < config.workers.count) return false;
  std::random_device random;
  std::vector<uint32_t>& links = links_of_[peer.id];
  std::vector<PathRecord> paths;
  for (Queue& q : queues_) {
    const PortOptions& p = config.ports[q.port];
    if (p.name != peer.port) continue;
    const auto path = static_cast<uint16_t>(paths.size());
    LinkPath::Config c;
    c.link.self_id = config.node.id;
    c.link.self_epoch = epoch;
    c.link.peer_id = peer.id;
    c.link.path = path;
    c.link.worker = static_cast<uint8_t>(q.worker);
    if (links_ < kMostLinks) {
      c.link.index = links_++;
    } else {
      c.link.index = free_links_.front();
      free_links_.pop_front();
    }
    links.push_back(c.link.index);
    c.link.dead_after_ns = config.link.dead_after_ns;
    c.link.ack_delay_ns = config.link.ack_delay_ns;
    c.link.window = config.link.window;
    c.link.source_ports = config.link.source_ports;
    c.link.congestion = crosses_a_network(devices_[q.port]->spec().kind);
    c.link.seed = uint64_t{random()} << 32 | random();  // nobody shall guess connection ids
    c.remote = peer.address;
    c.local_udp = source_port(p.udp_port, path * kPortsApart);
    c.remote_udp = peer.udp_port;
    PathRecord record;
    record.net = q.net.get();
    record.worker = q.worker;
    record.port = p.name;
    record.local = fmt::format("{}:{}", format(p.address.address), c.local_udp);
    record.path = std::make_unique<LinkPath>(c, q.net->port().info().max_frame);
    paths.push_back(std::move(record));
  }
  node.add_peer(peer.id, peer.name, std::move(paths), least);
  return true;
}

void Network::remove_peer(Node& node, uint64_t id) {
  node.remove_peer(id, [this, id] {
    auto links = links_of_.extract(id);
    free_links_.insert(free_links_.end(), links.mapped().begin(), links.mapped().end());
  });
}

}  // namespace penstock
