#include "control/config/checks.h"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>

#include "control/config/address.h"
#include "control/config/nearest.h"
#include "control/config/rdma_names.h"
#include "control/config/units.h"
#include "control/config/value.h"
#include "dataplane/topic/filter.h"
#include "dataplane/topic/tenant.h"

namespace penstock {

namespace {

constexpr size_t kLongestSocket = 107;  // a path, as the kernel has it

class Checker {
 public:
  Checker(Config& config, const Lines& lines, const std::string& file, std::vector<Diagnostic>& out)
      : config_(config), lines_(lines), file_(file), out_(out) {}

  void run() {
    check_node();
    check_rdma();
    check_store();
    check_metrics();
    check_api();
    for (size_t i = 0; i < config_.ports.size(); i++)
      check_port(i);
    for (size_t i = 0; i < config_.peers.size(); i++)
      check_peer(i);
    for (size_t i = 0; i < config_.rules.size(); i++)
      check_rule(i);
  }

 private:
  // At the key's own line, else at its table's.
  void complain(const std::string& place, std::string_view name, std::string message) {
    auto at = lines_.find(fmt::format("{}.{}", place, name));
    if (at == lines_.end()) at = lines_.find(place);
    const std::string_view table = std::string_view(place).substr(0, place.find('.'));
    out_.push_back({file_, at == lines_.end() ? 0 : at->second, fmt::format("{}.{}", table, name),
                    std::move(message)});
  }

  std::string line_of(const std::string& place) const {
    const auto at = lines_.find(place);
    return at == lines_.end() ? "" : fmt::format(" (line {})", at->second);
  }

  void check_node() {
    if (config_.node.name.empty()) config_.node.name = fmt::format("node{}", config_.node.id);
    const auto& cpus = config_.workers.cpus;
    if (!cpus.empty() && cpus.size() < config_.workers.count) {
      complain("workers", "cpus",
               fmt::format("names {} CPUs for {} workers", cpus.size(), config_.workers.count));
    }
    const std::pair<const char*, const LaneOptions*> lanes[] = {
        {"lane", &config_.lane}, {"mirror", &config_.mirror}, {"inbox", &config_.inbox}};
    for (const auto& [table, lane] : lanes) {
      if (lane->arena_bytes > config_.max_arena_bytes) {
        complain(table, "arena",
                 fmt::format("{} is larger than lane.max_arena, {}", format_size(lane->arena_bytes),
                             format_size(config_.max_arena_bytes)));
      }
    }
  }

  void check_rdma() {
    const std::vector<RdmaName> names = rdma_names(config_.rdma.device);
    if (names.size() > kMostRdmaNames)
      complain("rdma", "device", fmt::format("names {} devices, more than 4", names.size()));
    for (const RdmaName& name : names) {
      const bool word = name.device == "auto" || name.device == "none";
      if (name.device.empty() || name.port == 0 || (word && names.size() > 1))
        complain("rdma", "device",
                 fmt::format("\"{}\" is no list of devices, as in \"mlx5_0,mlx5_1:2\"",
                             config_.rdma.device));
      else
        continue;
      break;
    }
  }

  void check_store() {
    const StoreOptions& store = config_.store;
    if (store.kind == StoreKind::kEtcd && store.endpoints.empty())
      complain("store", "endpoints", "is missing: etcd is asked at these");
    if (store.certificate.empty() != store.key.empty())
      complain("store", store.key.empty() ? "key" : "certificate",
               "is missing: certificate and key belong together");
    if (store.ca.empty() && !store.certificate.empty())
      complain("store", "ca", "is missing: without it there is no TLS to show a certificate in");
    if (store.user.empty() != store.password_file.empty())
      complain("store", store.user.empty() ? "user" : "password_file",
               "is missing: user and password belong together");
  }

  void check_metrics() {
    const std::string& listen = config_.metrics.listen;
    if (listen.empty() || is_endpoint(listen)) return;
    complain("metrics", "listen",
             fmt::format("\"{}\" is no IPv4 address and port, as in \"127.0.0.1:9469\"", listen));
  }

  void check_api() {
    ApiOptions& api = config_.api;
    if (api.socket.empty()) {
      api.socket = config_.node.socket + ".api";
      if (api.socket.size() > kLongestSocket)
        complain("api", "socket",
                 fmt::format("is missing: {} is longer than the {} bytes that a socket may have",
                             api.socket, kLongestSocket));
    }
    if (api.socket == config_.node.socket)
      complain("api", "socket", "is node.socket: each needs its own");
    if (!api.listen.empty() && !is_endpoint(api.listen))
      complain("api", "listen",
               fmt::format("\"{}\" is no address and port, as in \"10.0.0.1:9471\"", api.listen));
    const std::pair<const char*, const std::string*> files[] = {
        {"tls_ca", &api.ca}, {"tls_certificate", &api.certificate}, {"tls_key", &api.key}};
    for (const auto& [name, path] : files)
      if (!api.listen.empty() && path->empty())
        complain("api", name, "is missing: over TCP both sides show certificates (api.listen)");
  }

  void check_port(size_t i) {
    PortOptions& port = config_.ports[i];
    const std::string place = fmt::format("port.{}", i);
    for (size_t j = 0; j < i; j++) {
      const PortOptions& other = config_.ports[j];
      const std::string where = line_of(fmt::format("port.{}", j));
      if (port.name == other.name) {
        complain(place, "name", fmt::format("{} is taken by another port{}", port.name, where));
      }
      if (port.device == other.device) {
        complain(place, "device",
                 fmt::format("{} is taken by port {}{}", port.device, other.name, where));
      }
      if (port.address.address == other.address.address) {
        complain(place, "address",
                 fmt::format("{} is taken by port {}{}", format(port.address.address), other.name,
                             where));
      }
    }
    if (port.gateway && !contains(port.address, *port.gateway)) {
      complain(place, "gateway",
               fmt::format("{} is not in {}", format(*port.gateway), format(port.address)));
    }
    for (const Neighbour& row : port.neighbours) {
      if (!contains(port.address, row.address)) {
        complain(place, "neighbours",
                 fmt::format("{} is not in {}", format(row.address), format(port.address)));
      }
    }
  }

  void check_peer(size_t i) {
    PeerOptions& peer = config_.peers[i];
    const std::string place = fmt::format("peer.{}", i);
    if (peer.name.empty()) peer.name = fmt::format("node{}", peer.id);
    if (peer.id == config_.node.id) {
      complain(place, "id", fmt::format("{} is this node's own id{}", peer.id, line_of("node.id")));
    }
    if (peer.name == config_.node.name) {
      complain(place, "name", fmt::format("{} is this node's own name", peer.name));
    }
    for (size_t j = 0; j < i; j++) {
      const PeerOptions& other = config_.peers[j];
      const std::string where = line_of(fmt::format("peer.{}", j));
      if (peer.id == other.id) {
        complain(place, "id", fmt::format("{} is taken by another peer{}", peer.id, where));
      }
      if (peer.name == other.name) {
        complain(place, "name", fmt::format("{} is taken by another peer{}", peer.name, where));
      }
      if (peer.address == other.address && peer.udp_port == other.udp_port) {
        complain(place, "address",
                 fmt::format("{} is taken by peer {}{}", format(peer.address), other.name, where));
      }
    }
    if (const PortOptions* port = port_of(peer, place)) check_route(peer, *port, place);
  }

  const PortOptions* port_of(PeerOptions& peer, const std::string& place) {
    std::vector<std::string_view> names;
    for (const PortOptions& port : config_.ports)
      names.push_back(port.name);
    if (names.empty()) {
      complain(place, "port", "there is no [[port]] that could lead to a peer");
      return nullptr;
    }
    if (peer.port.empty() && names.size() == 1) peer.port = names.front();
    if (peer.port.empty()) {
      complain(place, "port", fmt::format("is missing; allowed: {}", fmt::join(names, ", ")));
      return nullptr;
    }
    const auto found = std::ranges::find(config_.ports, peer.port, &PortOptions::name);
    if (found != config_.ports.end()) return &*found;
    const std::string_view near = nearest(peer.port, names);
    complain(place, "port",
             fmt::format("there is no port {}{}; allowed: {}", peer.port,
                         near.empty() ? "" : fmt::format(" (did you mean {}?)", near),
                         fmt::join(names, ", ")));
    return nullptr;
  }

  void check_route(const PeerOptions& peer, const PortOptions& port, const std::string& place) {
    const std::string address = format(peer.address);
    if (peer.address.family != port.address.address.family) {
      complain(place, "address",
               fmt::format("{} is not of the family of port {}, {}", address, port.name,
                           format(port.address)));
    } else if (peer.address == port.address.address) {
      complain(place, "address", fmt::format("{} is port {}'s own", address, port.name));
    } else if (!contains(port.address, peer.address) && !port.gateway && !peer.mac) {
      complain(place, "address",
               fmt::format("{} is not in {}, and port {} has no gateway", address,
                           format(port.address), port.name));
    }
  }

  void check_rule(size_t i) {
    Rule& rule = config_.rules[i];
    const std::string place = fmt::format("rule.{}", i);
    if (rule.name.empty()) rule.name = fmt::format("rule{}", i + 1);
    for (size_t j = 0; j < i; j++)
      if (config_.rules[j].name == rule.name)
        complain(place, "name",
                 fmt::format("{} is taken by another rule{}", rule.name,
                             line_of(fmt::format("rule.{}", j))));
    if (const std::string wrong = find_who(rule); !wrong.empty()) complain(place, "who", wrong);
    if (!valid_tenant(rule.tenant))
      complain(place, "tenant",
               fmt::format("{} is no tenant: letters, digits, '_' and '-'",
                           penstock::quoted(rule.tenant)));
    if (!valid_filter(rule.filter))
      complain(place, "filter", fmt::format("{} is no filter", penstock::quoted(rule.filter)));
    if (rule.node == 0) return;
    if (rule.clients != 0 || rule.lanes != 0 || rule.bytes != 0 || rule.subscriptions != 0 ||
        rule.gives(Right::kAdmin))
      complain(place, "who", "is a node: admin and limits are for clients");
  }

  Config& config_;
  const Lines& lines_;
  const std::string& file_;
  std::vector<Diagnostic>& out_;
};

}  // namespace

void complete_and_check(Config& config, const Lines& lines, const std::string& file,
                        std::vector<Diagnostic>& out) {
  Checker(config, lines, file, out).run();
}

}  // namespace penstock
