#include "control/config/load.h"

#include <array>
#include <gtest/gtest.h>
#include <string>
#include <tuple>

namespace penstock {
namespace {

// The least that is a config, then `more`.
// Each dot a table in a table, on lines that are not too long.
std::string nested_tables() {
  std::string toml = "x = [\n";
  for (int line = 0; line < 120; line++) {
    toml += "{a";
    for (int dot = 0; dot < 2000; dot++)
      toml += ".a";
    toml += "=[\n";
  }
  toml += "1";
  for (int line = 0; line < 120; line++)
    toml += "]}";
  return toml + "]\n";
}

std::string config_with(const std::string& more) {
  return "[node]\nid = 1\n" + more;
}

// A port, named p0, and a peer, starting at line 3.
const std::string kPort =
    "[[port]]\nname = \"p0\"\ndevice = \"vhost:/run/x.sock\"\naddress = \"10.1.0.1/24\"\n";
const std::string kPeer = "[[peer]]\nid = 2\naddress = \"10.1.0.2\"\n";

// All diagnostics, a line each.
std::string complaints(const std::string& toml) {
  const Loaded loaded = parse(toml, "c.toml");
  if (loaded) return "";
  std::string all;
  for (const Diagnostic& d : loaded.error())
    all += (all.empty() ? "" : "\n") + text(d);
  return all;
}

struct Bad {
  const char* what;
  std::string toml;
  std::string message;
};

class BadConfig : public testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsToldWithLineAndKeyAndWhatIsAllowed) {
  EXPECT_EQ(complaints(GetParam().toml), GetParam().message);
}

const Bad kKeys[] = {
    {"UnknownKey", config_with("[lane]\nrnig = 4\n"),
     "c.toml:4: lane.rnig: unknown key (did you mean lane.ring?); allowed in lane: ring, arena, "
     "topics, max_arena"},
    {"UnknownKeyOfAnotherTable", "[node]\nid = 1\narena = \"4MiB\"\n",
     "c.toml:3: node.arena: unknown key (did you mean inbox.arena?); allowed in node: id, name, "
     "socket, socket_group, socket_mode, state_dir, drain"},
    {"UnknownKeyLikeNothing", config_with("[link]\nxyzzyplugh = 4\n"),
     "c.toml:4: link.xyzzyplugh: unknown key; allowed in link: dead_after, ack_delay, window, "
     "source_ports, chain_from"},
    {"UnknownTable", config_with("[lnae]\n"),
     "c.toml:3: lnae: unknown table (did you mean lane?); allowed: node, workers, memory, lane, "
     "mirror, inbox, link, rdma, store, api, log, metrics, port, peer, rule"},
    {"KeyOutsideOfTables", "id = 1\n",
     "c.toml: node.id: is missing; allowed: 1 to 4294967295\n"
     "c.toml:1: id: unknown table; allowed: node, workers, memory, lane, mirror, inbox, link, "
     "rdma, store, api, log, metrics, port, peer, rule"},
    {"TableThatIsNone", "node = 5\n",
     "c.toml: node.id: is missing; allowed: 1 to 4294967295\n"
     "c.toml:1: node: must be a table: [node]"},
    {"PortThatIsNoList", config_with("[port]\nname = \"p0\"\n"),
     "c.toml:3: port: must be a list of tables: [[port]]"},
    {"Missing", "[node]\nname = \"a\"\n",
     "c.toml:1: node.id: is missing; allowed: 1 to 4294967295"},
    {"MissingInRule", config_with("[[rule]]\nwho = \"*\"\n"),
     "c.toml:3: rule.allow: is missing; allowed: a list of \"publish\", \"subscribe\", \"admin\""},
    {"MissingInPeer", config_with(kPort + "[[peer]]\nid = 2\n"),
     "c.toml:7: peer.address: is missing; allowed: an address like \"10.1.0.1\" or \"fd00::1\""},
    {"Twice", "[node]\nid = 1\nid = 2\n",
     "c.toml:3: Error while parsing key-value pair: cannot redefine existing integer 'id'"},
    {"NotToml", "[node]\nid =\n",
     "c.toml:2: Error while parsing key-value pair: expected value, saw '\\n'"},
    {"LongLine", config_with("# " + std::string(5000, 'x') + "\n"),
     "c.toml:3: is a line of more than 4096 bytes"},
    {"TablesInTables", nested_tables(), "c.toml: has more than 10000 dots and brackets"},
    {"LargeFile", std::string((1 << 20) + 1, '\n'), "c.toml: is larger than 1 MiB"},
    {"Several", "[node]\nid = 0\n[lane]\nrnig = 4\n[workers]\ncount = 33\n",
     "c.toml:2: node.id: 0 is not allowed; allowed: 1 to 4294967295; nearest: 1\n"
     "c.toml:4: lane.rnig: unknown key (did you mean lane.ring?); allowed in lane: ring, arena, "
     "topics, max_arena\n"
     "c.toml:6: workers.count: 33 is not allowed; allowed: 1 to 32; nearest: 32"},
};

const Bad kValues[] = {
    {"WrongType", config_with("[workers]\ncount = \"two\"\n"),
     "c.toml:4: workers.count: \"two\" is a string; allowed: 1 to 32"},
    {"Fraction", config_with("[workers]\ncount = 1.5\n"),
     "c.toml:4: workers.count: a number with a fraction is not allowed; allowed: 1 to 32"},
    {"Boolean", config_with("[log]\nlevel = true\n"),
     "c.toml:4: log.level: a boolean is not allowed; allowed: \"trace\", \"debug\", \"info\", "
     "\"warn\", \"error\", \"off\""},
    {"NegativeNumber", config_with("[lane]\ntopics = -5\n"),
     "c.toml:4: lane.topics: -5 is not allowed; allowed: 1 to 65536; nearest: 1"},
    {"NoPowerOfTwo", config_with("[lane]\nring = 1000\n"),
     "c.toml:4: lane.ring: 1000 is not allowed; allowed: a power of two from 4 to 16777216; "
     "nearest: 1024"},
    {"SizeTooLarge", config_with("[lane]\narena = \"1TiB\"\n"),
     "c.toml:4: lane.arena: \"1TiB\" is not allowed; allowed: a power of two like \"4MiB\" from "
     "4KiB to 64GiB; nearest: 64GiB"},
    {"SizeUnit", config_with("[memory]\nbuffers = \"64MiBs\"\n"),
     "c.toml:4: memory.buffers: \"64MiBs\" has an unknown unit (B, KiB, MiB, GiB, TiB, kB, MB, GB, "
     "TB); allowed: a size like \"4MiB\" from 16MiB to 64GiB"},
    {"DurationWithoutUnit", config_with("[link]\ndead_after = 10\n"),
     "c.toml:4: link.dead_after: 10 has no unit (ns, us, ms, s, min, h); allowed: a duration like "
     "\"25us\" from 100ms to 1h"},
    {"DurationTooShort", config_with("[link]\ndead_after = \"1ms\"\n"),
     "c.toml:4: link.dead_after: \"1ms\" is not allowed; allowed: a duration like \"25us\" from "
     "100ms to 1h; nearest: 100ms"},
    {"Choice", config_with("[workers]\nidle = \"spinn\"\n"),
     "c.toml:4: workers.idle: \"spinn\" is not allowed (did you mean \"spin\"?); allowed: "
     "\"spin\", \"adaptive\""},
    {"Choices", config_with("[[rule]]\nwho = \"*\"\nallow = [\"publish\", \"subcribe\"]\n"),
     "c.toml:5: rule.allow: \"subcribe\" is not allowed (did you mean \"subscribe\"?); allowed: a "
     "list of \"publish\", \"subscribe\", \"admin\""},
    {"CpuList", config_with("[workers]\ncpus = \"2-5,x\"\n"),
     "c.toml:4: workers.cpus: \"2-5,x\" is not a CPU list; allowed: a CPU list like \"2-5,8\""},
    {"RelativePath", config_with("").insert(7, "socket = \"a.sock\"\n"),
     "c.toml:2: node.socket: \"a.sock\" is not allowed; allowed: an absolute path of at most 107 "
     "bytes"},
    {"LongSocket", config_with("").insert(7, "socket = \"/" + std::string(107, 's') + "\"\n"),
     "c.toml:2: node.socket: \"/" + std::string(63, 's') +
         "...\" has 108 bytes; allowed: an absolute path of at most 107 bytes"},
    {"Name", config_with("").insert(7, "name = \"a b\"\n"),
     "c.toml:2: node.name: \"a b\" is not allowed; allowed: 1 to 63 letters, digits, '_', '.' and "
     "'-'"},
    {"Octal", config_with("").insert(7, "socket_mode = \"0999\"\n"),
     "c.toml:2: node.socket_mode: \"0999\" is not octal; allowed: an octal string from 0000 to "
     "0777"},
    {"DeviceKind", config_with(std::string(kPort).replace(kPort.find("vhost"), 5, "vhots")),
     "c.toml:5: port.device: \"vhots:/run/x.sock\" is not allowed (did you mean \"vhost\"?); "
     "allowed: \"vhost:/PATH\", \"virtio-user:/PATH\", \"memif-server:/PATH\", "
     "\"memif-client:/PATH\", "
     "\"ring:NAME\", \"af_packet:IFACE\", \"af_xdp:IFACE\", \"tap:IFACE\", \"pci:0000:03:00.0\""},
    {"DevicePath", config_with(std::string(kPort).replace(kPort.find(":/run"), 5, ":run")),
     "c.toml:5: port.device: \"vhost:run/x.sock\" is not allowed; allowed: \"vhost:/PATH\""},
    {"DeviceArguments", config_with(std::string(kPort).replace(kPort.find("x.sock"), 1, "x,y")),
     "c.toml:5: port.device: \"vhost:/run/x,y.sock\" is not allowed; allowed after \"vhost:\": at "
     "most 107 bytes without spaces, commas and quotes"},
    {"PrefixWithoutLength", config_with(std::string(kPort).replace(kPort.find("/24"), 3, "")),
     "c.toml:6: port.address: \"10.1.0.1\" has no prefix length; allowed: ADDRESS/BITS like "
     "\"10.1.0.1/24\" or \"fd00::1/64\""},
    {"Mac", config_with(kPort + kPeer + "mac = \"01:00:5e:00:00:01\"\n"),
     "c.toml:10: peer.mac: \"01:00:5e:00:00:01\" is not the MAC address of one host; allowed: a "
     "MAC address like \"02:00:00:00:00:01\""},
    {"Neighbour", config_with(kPort + "neighbours = [\"10.1.0.9\"]\n"),
     "c.toml:7: port.neighbours: \"10.1.0.9\" is not ADDRESS=MAC; allowed: a list of "
     "\"ADDRESS=MAC\" like [\"10.1.0.2=02:00:00:00:00:02\"]"},
};

const Bad kTogether[] = {
    {"FewerCpusThanWorkers", config_with("[workers]\ncount = 3\ncpus = \"2,4\"\n"),
     "c.toml:5: workers.cpus: names 2 CPUs for 3 workers"},
    {"ArenaAboveMaximum",
     config_with("[lane]\nmax_arena = \"1MiB\"\n[mirror]\narena = \"64KiB\"\n"
                 "[inbox]\narena = \"64KiB\"\n"),
     "c.toml:3: lane.arena: 4MiB is larger than lane.max_arena, 1MiB"},
    {"PortNameTwice",
     config_with(kPort +
                 "[[port]]\nname = \"p0\"\ndevice = \"ring:r\"\naddress = \"10.2.0.1/24\"\n"),
     "c.toml:8: port.name: p0 is taken by another port (line 3)"},
    {"DeviceTwice",
     config_with(kPort + "[[port]]\nname = \"p1\"\ndevice = \"vhost:/run/x.sock\"\n"
                         "address = \"10.2.0.1/24\"\n"),
     "c.toml:9: port.device: vhost:/run/x.sock is taken by port p0 (line 3)"},
    {"PortAddressTwice",
     config_with(kPort +
                 "[[port]]\nname = \"p1\"\ndevice = \"ring:r\"\naddress = \"10.1.0.1/16\"\n"),
     "c.toml:10: port.address: 10.1.0.1 is taken by port p0 (line 3)"},
    {"GatewayElsewhere", config_with(kPort + "gateway = \"10.2.0.1\"\n"),
     "c.toml:7: port.gateway: 10.2.0.1 is not in 10.1.0.1/24"},
    {"OwnId", config_with(kPort + "[[peer]]\nid = 1\naddress = \"10.1.0.2\"\nname = \"b\"\n"),
     "c.toml:8: peer.id: 1 is this node's own id (line 2)"},
    {"PeerIdTwice",
     config_with(kPort + kPeer + "[[peer]]\nid = 2\nname = \"c\"\naddress = \"10.1.0.3\"\n"),
     "c.toml:11: peer.id: 2 is taken by another peer (line 7)"},
    {"PeerAddressTwice", config_with(kPort + kPeer + "[[peer]]\nid = 3\naddress = \"10.1.0.2\"\n"),
     "c.toml:12: peer.address: 10.1.0.2 is taken by peer node2 (line 7)"},
    {"NoPort", config_with(kPeer),
     "c.toml:3: peer.port: there is no [[port]] that could lead to a peer"},
    {"UnknownPort", config_with(kPort + kPeer + "port = \"po\"\n"),
     "c.toml:10: peer.port: there is no port po (did you mean p0?); allowed: p0"},
    {"WhichPort",
     config_with(kPort +
                 "[[port]]\nname = \"p1\"\ndevice = \"ring:r\"\naddress = \"10.2.0.1/24\"\n" +
                 kPeer),
     "c.toml:11: peer.port: is missing; allowed: p0, p1"},
    {"OtherFamily", config_with(kPort + "[[peer]]\nid = 2\naddress = \"fd00::2\"\n"),
     "c.toml:9: peer.address: fd00::2 is not of the family of port p0, 10.1.0.1/24"},
    {"OwnAddress", config_with(kPort + "[[peer]]\nid = 2\naddress = \"10.1.0.1\"\n"),
     "c.toml:9: peer.address: 10.1.0.1 is port p0's own"},
    {"NoWayThere", config_with(kPort + "[[peer]]\nid = 2\naddress = \"10.9.0.2\"\n"),
     "c.toml:9: peer.address: 10.9.0.2 is not in 10.1.0.1/24, and port p0 has no gateway"},
    {"RuleNameTwice",
     config_with("[[rule]]\nwho = \"*\"\nallow = []\nname = \"rule2\"\n[[rule]]\nwho = \"*\"\n"
                 "allow = []\n"),
     "c.toml:7: rule.name: rule2 is taken by another rule (line 3)"},
    {"RuleOfNobody", config_with("[[rule]]\nwho = \"user:no-such-user\"\nallow = []\n"),
     "c.toml:4: rule.who: there is no user 'no-such-user' on this host"},
    {"RuleOfNothing",
     config_with("[[rule]]\nwho = \"*\"\nallow = []\ntenant = \"a.b\"\nfilter = \"a..b\"\n"),
     "c.toml:6: rule.tenant: \"a.b\" is no tenant: letters, digits, '_' and '-'\n"
     "c.toml:7: rule.filter: \"a..b\" is no filter"},
    {"RuleOfANodeWithALimit", config_with("[[rule]]\nwho = \"node:2\"\nallow = []\nlanes = 1\n"),
     "c.toml:4: rule.who: is a node: admin and limits are for clients"},
    {"EtcdNowhere", config_with("[store]\nkind = \"etcd\"\n"),
     "c.toml:3: store.endpoints: is missing: etcd is asked at these"},
    {"CertificateWithoutKey", config_with("[store]\nca = \"/a\"\ncertificate = \"/b\"\n"),
     "c.toml:3: store.key: is missing: certificate and key belong together"},
    {"CertificateWithoutTls", config_with("[store]\nkey = \"/a\"\ncertificate = \"/b\"\n"),
     "c.toml:3: store.ca: is missing: without it there is no TLS to show a certificate in"},
    {"UserWithoutPassword", config_with("[store]\nuser = \"u\"\n"),
     "c.toml:3: store.password_file: is missing: user and password belong together"},
    {"ListensNowhere", config_with("[metrics]\nlisten = \":9469\"\n"),
     "c.toml:4: metrics.listen: \":9469\" is no IPv4 address and port, as in \"127.0.0.1:9469\""},
    {"ApiOverTcpWithoutTls", config_with("[api]\nlisten = \"0.0.0.0:9471\"\ntls_ca = \"/a\"\n"),
     "c.toml:3: api.tls_certificate: is missing: over TCP both sides show certificates "
     "(api.listen)\n"
     "c.toml:3: api.tls_key: is missing: over TCP both sides show certificates (api.listen)"},
    {"ApiNowhere",
     config_with("[api]\ntls_ca = \"/a\"\ntls_certificate = \"/a\"\ntls_key = \"/a\"\n"
                 "listen = \"9471\"\n"),
     "c.toml:7: api.listen: \"9471\" is no address and port, as in \"10.0.0.1:9471\""},
    {"RdmaDeviceWithoutAName", config_with("[rdma]\ndevice = \"mlx5_0,,mlx5_1\"\n"),
     "c.toml:4: rdma.device: \"mlx5_0,,mlx5_1\" is no list of devices, as in "
     "\"mlx5_0,mlx5_1:2\""},
    {"RdmaPortThatIsNone", config_with("[rdma]\ndevice = \"mlx5_0:x\"\n"),
     "c.toml:4: rdma.device: \"mlx5_0:x\" is no list of devices, as in \"mlx5_0,mlx5_1:2\""},
    {"AutoAmongRdmaDevices", config_with("[rdma]\ndevice = \"mlx5_0,auto\"\n"),
     "c.toml:4: rdma.device: \"mlx5_0,auto\" is no list of devices, as in \"mlx5_0,mlx5_1:2\""},
    {"TooManyRdmaDevices", config_with("[rdma]\ndevice = \"a,b,c,d,e\"\n"),
     "c.toml:4: rdma.device: names 5 devices, more than 4"},
    {"ApiAtTheAttachSocket", "[node]\nid = 1\nsocket = \"/s\"\n[api]\nsocket = \"/s\"\n",
     "c.toml:5: api.socket: is node.socket: each needs its own"},
    {"ApiSocketTooLong", "[node]\nid = 1\nsocket = \"/" + std::string(104, 's') + "\"\n",
     "c.toml: api.socket: is missing: /" + std::string(104, 's') +
         ".api is longer than the 107 bytes that a socket may have"},
};

const auto kNameOf = [](const auto& test) { return std::string(test.param.what); };
INSTANTIATE_TEST_SUITE_P(Keys, BadConfig, testing::ValuesIn(kKeys), kNameOf);
INSTANTIATE_TEST_SUITE_P(Values, BadConfig, testing::ValuesIn(kValues), kNameOf);
INSTANTIATE_TEST_SUITE_P(Together, BadConfig, testing::ValuesIn(kTogether), kNameOf);

TEST(Load, TakesEveryOption) {
  const Loaded loaded = parse(R"(
[node]
id = 7
name = "a"
socket = "/tmp/a.sock"
socket_group = "users"
socket_mode = "0600"
state_dir = "/tmp/a"
[workers]
count = 2
cpus = "2-3"
idle = "spin"
[memory]
hugepages = "never"
buffers = "64MiB"
[lane]
ring = 4096
arena = 8388608
topics = 16
[link]
dead_after = "2s"
ack_delay = "0us"
window = 64
[log]
level = "debug"
format = "json"
[[port]]
name = "p0"
device = "virtio-user:/tmp/v.sock"
address = "fd00::1/64"
gateway = "fd00::ff"
udp_port = 1000
mtu = 9000
neighbours = ["fd00::3=02:00:00:00:00:03"]
[[peer]]
id = 8
address = "fd00::2"
mac = "02:00:00:00:00:02"
[[rule]]
name = "team"
who = "user:1234"
tenant = "acme"
filter = "grad.#"
allow = ["subscribe", "admin"]
clients = 1
lanes = 2
bytes = "3MiB"
subscriptions = 4
)",
                              "c.toml");
  ASSERT_TRUE(loaded) << text(loaded.error().front());
  EXPECT_EQ(loaded->node.id, 7u);
  EXPECT_EQ(loaded->node.socket_mode, 0600u);
  EXPECT_EQ(loaded->workers.cpus, (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(loaded->workers.idle, IdleMode::kSpin);
  EXPECT_EQ(loaded->memory.hugepages, HugePages::kNever);
  EXPECT_EQ(loaded->lane.geometry(),
            (LaneGeometry{.ring_log2 = 12, .arena_log2 = 23, .topics = 16}));
  EXPECT_EQ(loaded->link.dead_after_ns, 2'000'000'000u);
  EXPECT_EQ(loaded->link.ack_delay_ns, 0u);
  EXPECT_EQ(loaded->log.level, LogLevel::kDebug);
  EXPECT_EQ(loaded->log.format, LogFormat::kJson);
  ASSERT_EQ(loaded->ports.size(), 1u);
  EXPECT_TRUE(loaded->ports[0].gateway.has_value());
  EXPECT_EQ(loaded->ports[0].mtu, 9000);
  EXPECT_EQ(loaded->ports[0].neighbours.size(), 1u);
  ASSERT_EQ(loaded->peers.size(), 1u);
  EXPECT_EQ(loaded->peers[0].mac, (MacAddress{{2, 0, 0, 0, 0, 2}}));
  ASSERT_EQ(loaded->rules.size(), 1u);
  const Rule& rule = loaded->rules[0];
  EXPECT_EQ(std::tie(rule.name, rule.tenant, rule.filter),
            std::make_tuple("team", "acme", "grad.#"));
  EXPECT_EQ(rule.uid, 1234u);
  EXPECT_EQ(rule.allow.bits, 6u);
  EXPECT_EQ((std::array{rule.clients, rule.lanes, rule.bytes, rule.subscriptions}),
            (std::array<uint64_t, 4>{1, 2, 3 << 20, 4}));
}

TEST(Load, FillsInWhatFollows) {
  const Loaded loaded = parse(config_with("[workers]\ncount = 2\n" + kPort + kPeer), "c.toml");
  ASSERT_TRUE(loaded) << text(loaded.error().front());
  EXPECT_EQ(loaded->node.name, "node1");
  EXPECT_EQ(loaded->api.socket, "/run/penstock/penstock.sock.api");
  EXPECT_EQ(loaded->peers[0].name, "node2");
  EXPECT_EQ(loaded->peers[0].port, "p0");
}

TEST(Load, TakesAPeerBeyondTheGateway) {
  EXPECT_EQ(complaints(config_with(kPort + "gateway = \"10.1.0.254\"\n[[peer]]\nid = 2\n"
                                           "address = \"10.9.0.2\"\n")),
            "");
}

TEST(Load, SaysWhyAFileCannotBeRead) {
  const Loaded loaded = load("/nonexistent/c.toml");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(text(loaded.error().front()),
            "/nonexistent/c.toml: cannot be read: No such file or directory");
}

TEST(Load, SaysThatAFolderIsNoFile) {
  const Loaded loaded = load("/tmp");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(text(loaded.error().front()), "/tmp: cannot be read: Is a directory");
}

TEST(Load, AnEmptyFileSaysWhatIsMissing) {
  const Loaded loaded = load("/dev/null");
  ASSERT_FALSE(loaded);
  EXPECT_NE(text(loaded.error().front()).find("node.id: is missing"), std::string::npos)
      << text(loaded.error().front());
}

}  // namespace
}  // namespace penstock
