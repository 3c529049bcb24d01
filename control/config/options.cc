#include "control/config/options.h"

#include <bit>

namespace penstock {

namespace {

constexpr uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;
constexpr uint64_t kUs = 1000, kMs = 1000 * kUs, kSecond = 1000 * kMs, kHour = 3600 * kSecond;
constexpr auto kRestart = Applies::kRestart;
constexpr auto kLive = Applies::kLive;

constexpr Section kSections[] = {
    {"node", false, "This node and the socket that clients attach to."},
    {"workers", false, "The loops that move messages, one for each pinned core."},
    {"memory", false, "Where buffers and lanes come from."},
    {"lane", false, "Lanes of publishers that ask for nothing else."},
    {"mirror", false, "Mirrors: what links write here for publishers on other nodes."},
    {"inbox", false, "Inboxes: what this node writes for one client (groups, notices)."},
    {"link", false, "Links to other nodes."},
    {"rdma", false, "The way beside links for large messages, to nodes that have RDMA too."},
    {"store", false, "Where nodes find each other, besides those in [[peer]]."},
    {"api", false,
     "Where operators and their programs steer the node: penstock nodes, reload, ..."},
    {"log", false, "The log."},
    {"metrics", false, "Metrics and health over HTTP, for Prometheus and for probes."},
    {"port", true, "A NIC port; one table for each."},
    {"peer", true, "Another node; one table for each."},
    {"rule", true, "Who may do what; one table for each. Without any, every client everything."},
};

constexpr DeviceKind kDeviceKinds[] = {
    {"vhost", "/PATH", "the device side of a vhost-user socket"},
    {"virtio-user", "/PATH", "the driver side, which makes the socket"},
    {"memif-server", "/PATH", "shared-memory interface, the side that makes the socket"},
    {"memif-client", "/PATH", "shared-memory interface, the side that connects"},
    {"ring", "NAME", "one of two ports of that name in one process"},
    {"af_packet", "IFACE", "a kernel interface, by packet socket"},
    {"af_xdp", "IFACE", "a kernel interface, by XDP socket"},
    {"tap", "IFACE", "a tap interface that the node makes"},
    {"pci", "0000:03:00.0", "a NIC by its PCI address"},
};

// key, kind, default, min, max, choices, applies, text, slot, required, power of two, sample
constexpr Option kOptions[] = {
    {"node.id", Kind::kInteger, "", 1, 4294967295, "", kRestart,
     "Number of this node, unique among all that know each other.",
     [](Target t) -> Slot { return &t.config->node.id; }, true, false, "1"},
    {"node.name", Kind::kName, "", 1, 63, "", kRestart,
     "Name in tables and logs; node<id> if absent.",
     [](Target t) -> Slot { return &t.config->node.name; }, false, false, R"("a")"},
    {"node.socket", Kind::kPath, "/run/penstock/penstock.sock", 1, 107, "", kRestart,
     "Socket that clients attach to.", [](Target t) -> Slot { return &t.config->node.socket; }},
    {"node.socket_group", Kind::kText, "", 0, 63, "", kRestart,
     "Group that owns the socket; empty: the daemon's own.",
     [](Target t) -> Slot { return &t.config->node.socket_group; }, false, false, R"("penstock")"},
    {"node.socket_mode", Kind::kOctal, "0660", 0, 0777, "", kRestart,
     "Who may attach, as the socket's file mode.",
     [](Target t) -> Slot { return &t.config->node.socket_mode; }},
    {"node.state_dir", Kind::kPath, "/var/lib/penstock", 1, 4000, "", kRestart,
     "Directory for what outlives a restart: the node's epoch, and who was a member.",
     [](Target t) -> Slot { return &t.config->node.state_dir; }},
    {"node.drain", Kind::kDuration, "3s", 0, kHour, "", kRestart,
     "How long SIGTERM waits for readers to take what is published; 0: not at all.",
     [](Target t) -> Slot { return &t.config->node.drain_ns; }},

    {"workers.count", Kind::kInteger, "1", 1, 32, "", kRestart, "Number of workers.",
     [](Target t) -> Slot { return &t.config->workers.count; }},
    {"workers.cpus", Kind::kCpus, "", 0, 0, "", kRestart,
     "CPUs to take them from, \"2-5,8\"; empty: chosen near the ports.",
     [](Target t) -> Slot { return &t.config->workers.cpus; }, false, false, R"("2-5,8")"},
    {"workers.idle", Kind::kChoice, "adaptive", 0, 0, "spin|adaptive", kRestart,
     "Without work: spin (isolated cores), or spin, yield, then sleep.",
     [](Target t) -> Slot { return &t.config->workers.idle; }},

    {"memory.hugepages", Kind::kChoice, "auto", 0, 0, "auto|never|require", kRestart,
     "Use huge pages when there are any, never, or do not start without.",
     [](Target t) -> Slot { return &t.config->memory.hugepages; }},
    {"memory.buffers", Kind::kSize, "128MiB", 16 * kMiB, 64 * kGiB, "", kRestart,
     "Memory for the buffers of all ports.",
     [](Target t) -> Slot { return &t.config->memory.buffers_bytes; }},

    {"lane.ring", Kind::kInteger, "1024", 4, 16777216, "", kRestart, "Messages that a lane holds.",
     [](Target t) -> Slot { return &t.config->lane.ring; }, false, true},
    {"lane.arena", Kind::kSize, "4MiB", 4 * kKiB, 64 * kGiB, "", kRestart,
     "Bytes that a lane holds; also the largest message.",
     [](Target t) -> Slot { return &t.config->lane.arena_bytes; }, false, true},
    {"lane.topics", Kind::kInteger, "256", 1, 65536, "", kRestart, "Topics that a lane can name.",
     [](Target t) -> Slot { return &t.config->lane.topics; }},
    {"lane.max_arena", Kind::kSize, "1GiB", 4 * kKiB, 64 * kGiB, "", kRestart,
     "Largest arena that a client may ask for.",
     [](Target t) -> Slot { return &t.config->max_arena_bytes; }, false, true},

    {"mirror.ring", Kind::kInteger, "1024", 4, 16777216, "", kRestart,
     "Messages that a mirror holds.", [](Target t) -> Slot { return &t.config->mirror.ring; },
     false, true},
    {"mirror.arena", Kind::kSize, "4MiB", 4 * kKiB, 64 * kGiB, "", kRestart,
     "Bytes that a mirror holds; also the largest message.",
     [](Target t) -> Slot { return &t.config->mirror.arena_bytes; }, false, true},
    {"mirror.topics", Kind::kInteger, "256", 1, 65536, "", kRestart,
     "Topics that a mirror can name.", [](Target t) -> Slot { return &t.config->mirror.topics; }},

    {"inbox.ring", Kind::kInteger, "1024", 4, 16777216, "", kRestart,
     "Messages that an inbox holds.", [](Target t) -> Slot { return &t.config->inbox.ring; }, false,
     true},
    {"inbox.arena", Kind::kSize, "4MiB", 4 * kKiB, 64 * kGiB, "", kRestart,
     "Bytes that an inbox holds; also the largest message.",
     [](Target t) -> Slot { return &t.config->inbox.arena_bytes; }, false, true},
    {"inbox.topics", Kind::kInteger, "256", 1, 65536, "", kRestart,
     "Topics that an inbox can name.", [](Target t) -> Slot { return &t.config->inbox.topics; }},

    {"link.dead_after", Kind::kDuration, "10s", 100 * kMs, kHour, "", kRestart,
     "A peer that is silent for so long is down.",
     [](Target t) -> Slot { return &t.config->link.dead_after_ns; }},
    {"link.ack_delay", Kind::kDuration, "25us", 0, 100 * kMs, "", kRestart,
     "How long an acknowledgement may wait for company.",
     [](Target t) -> Slot { return &t.config->link.ack_delay_ns; }},
    {"link.window", Kind::kInteger, "256", 1, 256, "", kRestart, "Packets in flight on one path.",
     [](Target t) -> Slot { return &t.config->link.window; }},
    {"link.source_ports", Kind::kInteger, "1", 1, 16, "", kRestart,
     "UDP source ports that a path spreads its packets over, where the network has several ways.",
     [](Target t) -> Slot { return &t.config->link.source_ports; }},
    {"link.chain_from", Kind::kSize, "256KiB", 0, 64 * kGiB, "", kRestart,
     "Messages from this size on that several nodes get are sent once and go from node to node; 0: "
     "none.",
     [](Target t) -> Slot { return &t.config->link.chain_from_bytes; }},

    {"rdma.device", Kind::kText, "auto", 1, 255, "", kRestart,
     "RDMA devices: auto, all that work, the nearest first; none; or up to four names with commas "
     "between them, with another port than 1 behind a colon. One that stands there twice gets two "
     "queue pairs a peer.",
     [](Target t) -> Slot { return &t.config->rdma.device; }, false, false, R"("mlx5_0,mlx5_1:2")"},
    {"rdma.rails", Kind::kInteger, "4", 1, 4, "", kRestart,
     "Of the devices that auto finds a worker uses so many.",
     [](Target t) -> Slot { return &t.config->rdma.rails; }},
    {"rdma.from", Kind::kSize, "16KiB", 2 * kKiB, 64 * kGiB, "", kRestart,
     "Messages from this size on go by RDMA.",
     [](Target t) -> Slot { return &t.config->rdma.from_bytes; }},
    {"rdma.stripe_from", Kind::kSize, "2MiB", 4 * kKiB, 64 * kGiB, "", kRestart,
     "Messages from this size on are cut in parts that go by several devices at once.",
     [](Target t) -> Slot { return &t.config->rdma.stripe_from_bytes; }},
    {"rdma.wait", Kind::kDuration, "10s", 0, 3600 * kSecond, "", kRestart,
     "For so long large messages wait for RDMA to come back, where a subscriber requires zero "
     "copy.",
     [](Target t) -> Slot { return &t.config->rdma.wait_ns; }},
    {"rdma.timeout", Kind::kDuration, "67ms", 10 * kUs, 100 * kSecond, "", kRestart,
     "A device that hears nothing for so long sends a request again; after six times its "
     "connection has failed.",
     [](Target t) -> Slot { return &t.config->rdma.timeout_ns; }},

    {"store.kind", Kind::kChoice, "none", 0, 0, "none|static|sqlite|etcd", kRestart,
     "none: [[peer]] only; static: a TOML file that people edit; sqlite: a file that the nodes of "
     "one "
     "machine share; etcd: a cluster.",
     [](Target t) -> Slot { return &t.config->store.kind; }},
    {"store.path", Kind::kPath, "/var/lib/penstock/store.db", 1, 4000, "", kRestart,
     "File of a static or sqlite store.", [](Target t) -> Slot { return &t.config->store.path; }},
    {"store.endpoints", Kind::kText, "", 0, 4000, "", kRestart,
     "Addresses and ports of etcd's members, with commas between them.",
     [](Target t) -> Slot { return &t.config->store.endpoints; }, false, false,
     R"("10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379")"},
    {"store.prefix", Kind::kText, "penstock/", 0, 255, "", kRestart,
     "What every key in etcd begins with; nodes find those with the same.",
     [](Target t) -> Slot { return &t.config->store.prefix; }},
    {"store.lease", Kind::kDuration, "10s", 2 * kSecond, kHour, "", kRestart,
     "How long a node that is not heard of stays registered; peers give it up after twice that "
     "again.",
     [](Target t) -> Slot { return &t.config->store.lease_ns; }},
    {"store.ca", Kind::kPath, "", 1, 4000, "", kRestart,
     "PEM file of who vouches for etcd; without it no TLS.",
     [](Target t) -> Slot { return &t.config->store.ca; }, false, false,
     R"("/etc/penstock/etcd-ca.pem")"},
    {"store.certificate", Kind::kPath, "", 1, 4000, "", kRestart,
     "PEM file of the certificate that etcd knows this node by.",
     [](Target t) -> Slot { return &t.config->store.certificate; }, false, false,
     R"("/etc/penstock/node.pem")"},
    {"store.key", Kind::kPath, "", 1, 4000, "", kRestart, "PEM file of the certificate's key.",
     [](Target t) -> Slot { return &t.config->store.key; }, false, false,
     R"("/etc/penstock/node.key")"},
    {"store.user", Kind::kName, "", 1, 63, "", kRestart, "User to log in to etcd as.",
     [](Target t) -> Slot { return &t.config->store.user; }, false, false, R"("penstock")"},
    {"store.password_file", Kind::kPath, "", 1, 4000, "", kRestart,
     "File that holds the user's password.",
     [](Target t) -> Slot { return &t.config->store.password_file; }, false, false,
     R"("/etc/penstock/etcd-password")"},

    {"api.socket", Kind::kPath, "", 1, 107, "", kRestart,
     "Socket of the API; node.socket with .api behind it if absent.",
     [](Target t) -> Slot { return &t.config->api.socket; }, false, false,
     R"("/run/penstock/penstock.sock.api")"},
    {"api.group", Kind::kText, "", 0, 63, "", kRestart,
     "Group that owns the API's socket; empty: the daemon's own.",
     [](Target t) -> Slot { return &t.config->api.group; }, false, false, R"("penstock-admin")"},
    {"api.mode", Kind::kOctal, "0600", 0, 0777, "", kRestart,
     "Who may steer, as the API's socket's file mode.",
     [](Target t) -> Slot { return &t.config->api.mode; }},
    {"api.listen", Kind::kText, "", 0, 255, "", kRestart,
     "Address and TCP port of the API for others than this host; needs all of api.tls_*; empty: "
     "none.",
     [](Target t) -> Slot { return &t.config->api.listen; }, false, false, R"("10.0.0.1:9471")"},
    {"api.tls_ca", Kind::kPath, "", 1, 4000, "", kRestart,
     "PEM file of who vouches for those that may steer over TCP.",
     [](Target t) -> Slot { return &t.config->api.ca; }, false, false,
     R"("/etc/penstock/operators-ca.pem")"},
    {"api.tls_certificate", Kind::kPath, "", 1, 4000, "", kRestart,
     "PEM file of the certificate that this node shows them.",
     [](Target t) -> Slot { return &t.config->api.certificate; }, false, false,
     R"("/etc/penstock/node.pem")"},
    {"api.tls_key", Kind::kPath, "", 1, 4000, "", kRestart, "PEM file of that certificate's key.",
     [](Target t) -> Slot { return &t.config->api.key; }, false, false,
     R"("/etc/penstock/node.key")"},

    {"log.level", Kind::kChoice, "info", 0, 0, "trace|debug|info|warn|error|off", kLive,
     "The least that is worth a line.", [](Target t) -> Slot { return &t.config->log.level; }},
    {"log.format", Kind::kChoice, "text", 0, 0, "text|json|journald", kRestart,
     "Lines for people or for programs, on standard error; or systemd's journal, with fields.",
     [](Target t) -> Slot { return &t.config->log.format; }},

    {"metrics.listen", Kind::kText, "", 0, 255, "", kRestart,
     "IPv4 address and port of /metrics, /livez and /readyz; empty: nowhere. Who reaches it may "
     "read.",
     [](Target t) -> Slot { return &t.config->metrics.listen; }, false, false,
     R"("127.0.0.1:9469")"},

    {"port.name", Kind::kName, "", 1, 63, "", kRestart, "Name of the port, unique.",
     [](Target t) -> Slot { return &t.port->name; }, true, false, R"("p0")"},
    {"port.device", Kind::kDevice, "", 0, 0, "", kRestart, "What the port stands on.",
     [](Target t) -> Slot { return &t.port->device; }, true, false, R"("pci:0000:03:00.0")"},
    {"port.address", Kind::kPrefix, "", 0, 0, "", kRestart,
     "Address and prefix of the port, IPv4 or IPv6.",
     [](Target t) -> Slot { return &t.port->address; }, true, false, R"("10.1.0.1/24")"},
    {"port.gateway", Kind::kAddress, "", 0, 0, "", kRestart,
     "Next hop to peers outside of the prefix.", [](Target t) -> Slot { return &t.port->gateway; },
     false, false, R"("10.1.0.254")"},
    {"port.udp_port", Kind::kInteger, "9470", 1, 65535, "", kRestart,
     "UDP port that links come to.", [](Target t) -> Slot { return &t.port->udp_port; }},
    {"port.mtu", Kind::kInteger, "", 1280, 9600, "", kRestart,
     "Largest IP packet, bytes; the device's own if absent.",
     [](Target t) -> Slot { return &t.port->mtu; }, false, false, "1500"},
    {"port.neighbours", Kind::kNeighbours, "", 0, 0, "", kRestart,
     "Static rows of the neighbour table.", [](Target t) -> Slot { return &t.port->neighbours; },
     false, false, R"(["10.1.0.3=02:00:00:00:00:03"])"},

    {"peer.id", Kind::kInteger, "", 1, 4294967295, "", kRestart, "The other node's node.id.",
     [](Target t) -> Slot { return &t.peer->id; }, true, false, "2"},
    {"peer.name", Kind::kName, "", 1, 63, "", kRestart,
     "Name in tables and logs; node<id> if absent.", [](Target t) -> Slot { return &t.peer->name; },
     false, false, R"("b")"},
    {"peer.port", Kind::kName, "", 1, 63, "", kRestart,
     "Port that leads there; the only one if absent.",
     [](Target t) -> Slot { return &t.peer->port; }, false, false, R"("p0")"},
    {"peer.address", Kind::kAddress, "", 0, 0, "", kRestart, "Address of the other node's port.",
     [](Target t) -> Slot { return &t.peer->address; }, true, false, R"("10.1.0.2")"},
    {"peer.udp_port", Kind::kInteger, "9470", 1, 65535, "", kRestart,
     "UDP port of the other node's port.", [](Target t) -> Slot { return &t.peer->udp_port; }},
    {"peer.mac", Kind::kMac, "", 0, 0, "", kRestart,
     "Its MAC address; asked for on the network if absent.",
     [](Target t) -> Slot { return &t.peer->mac; }, false, false, R"("02:00:00:00:00:02")"},

    {"rule.name", Kind::kName, "", 1, 63, "", kLive,
     "Name in refusals and tables, unique; rule<N> if absent.",
     [](Target t) -> Slot { return &t.rule->name; }, false, false, R"("team")"},
    {"rule.who", Kind::kText, "", 1, 255, "", kLive,
     "Whom it is about: user:NAME, group:NAME, or their numbers; node:ID, a peer; *, every client.",
     [](Target t) -> Slot { return &t.rule->who; }, true, false, R"("user:root")"},
    {"rule.tenant", Kind::kName, "default", 1, 32, "", kLive,
     "Namespace that they are in, a name without dots; tenants share nothing.",
     [](Target t) -> Slot { return &t.rule->tenant; }},
    {"rule.filter", Kind::kText, "#", 1, 255, "", kLive, "What of it the rule is about.",
     [](Target t) -> Slot { return &t.rule->filter; }},
    {"rule.allow", Kind::kChoices, "", 0, 0, "publish|subscribe|admin", kLive,
     "What they may do with it; admin: ask about the whole node.",
     [](Target t) -> Slot { return &t.rule->allow; }, true, false, R"(["publish", "subscribe"])"},
    {"rule.clients", Kind::kInteger, "0", 0, 1000000, "", kLive,
     "Programs that may be attached by this rule at once; 0: no limit of its own, as below.",
     [](Target t) -> Slot { return &t.rule->clients; }},
    {"rule.lanes", Kind::kInteger, "0", 0, 1000000, "", kLive,
     "Publishers and pushers of all of them.", [](Target t) -> Slot { return &t.rule->lanes; }},
    {"rule.bytes", Kind::kSize, "0B", 0, 1024 * kGiB, "", kLive,
     "Memory for their lanes and inboxes.", [](Target t) -> Slot { return &t.rule->bytes; }},
    {"rule.subscriptions", Kind::kInteger, "0", 0, 1000000, "", kLive,
     "Subscriptions of all of them.", [](Target t) -> Slot { return &t.rule->subscriptions; }},
};

}  // namespace

std::span<const Option> options() {
  return kOptions;
}
std::span<const Section> sections() {
  return kSections;
}
std::span<const DeviceKind> device_kinds() {
  return kDeviceKinds;
}

LaneGeometry LaneOptions::geometry() const {
  return {.ring_log2 = static_cast<uint32_t>(std::countr_zero(ring)),
          .arena_log2 = static_cast<uint32_t>(std::countr_zero(arena_bytes)),
          .topics = topics};
}

}  // namespace penstock
