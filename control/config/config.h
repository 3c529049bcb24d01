// Config: what the file says, checked and in plain types. Made by load() (load.h), read by the
// daemon, never changed afterwards. Names, defaults, bounds and texts stand in the table of
// options.cc and nowhere else: a Config that was not loaded holds zeros, not defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/rights/rule.h"
#include "dataplane/base/idle.h"
#include "dataplane/lane/layout.h"
#include "dataplane/net/address.h"

namespace penstock {

// "10.1.0.1/24": the address of a port and the length of its network's prefix.
struct IpPrefix {
  IpAddress address;
  uint8_t bits = 0;
};

// A static row of the neighbour table.
struct Neighbour {
  IpAddress address;
  MacAddress mac;
};

// The order of the enumerators is the order of the choices in the table.
enum class HugePages : uint8_t { kAuto, kNever, kRequire };
enum class StoreKind : uint8_t { kNone, kStatic, kSqlite, kEtcd };
enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat : uint8_t { kText, kJson, kJournald };

struct NodeOptions {
  uint64_t id = 0;
  std::string name;  // never empty once loaded: "node<id>" when the file has none
  std::string socket;
  std::string socket_group;  // empty: the daemon's own group
  uint32_t socket_mode = 0;
  std::string state_dir;
  uint64_t drain_ns = 0;
};

struct WorkerOptions {
  uint32_t count = 0;
  std::vector<uint32_t> cpus;  // empty: placed by the machine's topology
  IdleMode idle{};
};

struct MemoryOptions {
  HugePages hugepages{};
  uint64_t buffers_bytes = 0;  // for the buffers of ports
};

struct LaneOptions {
  uint64_t ring = 0;         // descriptors, a power of two
  uint64_t arena_bytes = 0;  // a power of two
  uint32_t topics = 0;

  LaneGeometry geometry() const;
};

struct LinkOptions {
  uint64_t dead_after_ns = 0;
  uint64_t ack_delay_ns = 0;
  uint32_t window = 0;  // packets
  uint32_t source_ports = 0;
  uint64_t chain_from_bytes = 0;
};

struct RdmaOptions {
  std::string device;  // "auto", "none", or names, each maybe with a port: "mlx5_0,mlx5_1:2"
  uint32_t rails = 0;
  uint64_t from_bytes = 0;
  uint64_t stripe_from_bytes = 0;
  uint64_t wait_ns = 0;
  uint64_t timeout_ns = 0;
};

struct StoreOptions {
  StoreKind kind{};
  std::string path;
  std::string endpoints;  // of etcd, with commas between them
  std::string prefix;
  uint64_t lease_ns = 0;
  std::string ca;  // TLS when there is one
  std::string certificate;
  std::string key;
  std::string user;
  std::string password_file;
};

struct ApiOptions {
  std::string socket;  // never empty once loaded: node.socket with ".api" behind it
  std::string group;   // empty: the daemon's own group
  uint32_t mode = 0;
  std::string listen;  // "ADDRESS:PORT"; empty: no TCP. Then the files below are there too
  std::string ca;
  std::string certificate;
  std::string key;
};

struct LogOptions {
  LogLevel level{};
  LogFormat format{};
};

struct MetricsOptions {
  std::string listen;  // address and port; empty: nowhere
};

struct PortOptions {
  std::string name;
  std::string device;  // "KIND:REST", the kind is one of device_kinds()
  IpPrefix address;
  std::optional<IpAddress> gateway;
  uint16_t udp_port = 0;
  std::optional<uint16_t> mtu;  // else the device's own
  std::vector<Neighbour> neighbours;
};

struct PeerOptions {
  uint64_t id = 0;
  std::string name;  // never empty once loaded
  std::string port;  // never empty once loaded: the only port when the file has none
  IpAddress address;
  uint16_t udp_port = 0;
  std::optional<MacAddress> mac;  // else asked for on the network
};

struct Config {
  NodeOptions node;
  WorkerOptions workers;
  MemoryOptions memory;
  LaneOptions lane;  // for a publisher that asks for nothing else
  uint64_t max_arena_bytes = 0;
  LaneOptions mirror;
  LaneOptions inbox;
  LinkOptions link;
  RdmaOptions rdma;
  StoreOptions store;
  ApiOptions api;
  LogOptions log;
  MetricsOptions metrics;
  std::vector<PortOptions> ports;
  std::vector<PeerOptions> peers;
  std::vector<Rule> rules;
};

}  // namespace penstock
