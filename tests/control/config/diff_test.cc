#include "control/config/diff.h"

#include <gtest/gtest.h>

#include "control/config/load.h"

namespace penstock {
namespace {

Config config(const std::string& more) {
  const Loaded loaded = parse("[node]\nid = 1\n" + more, "c.toml");
  EXPECT_TRUE(loaded) << text(loaded.error().front());
  return loaded ? *loaded : Config{};
}

std::string port(const std::string& name, const std::string& more = "") {
  return "[[port]]\nname = \"" + name + "\"\ndevice = \"ring:" + name +
         "\"\naddress = \"10.1.0.1/24\"\n" + more;
}

// A line each: "lane.ring: 1024 -> 2048 (restart)".
std::string between(const std::string& before, const std::string& after) {
  std::string all;
  for (const OptionChange& c : changes(config(before), config(after)))
    all += c.key + ": " + c.before + " -> " + c.after + (c.live ? " (live)\n" : " (restart)\n");
  return all;
}

TEST(Changes, AreNoneBetweenTheSame) {
  EXPECT_EQ(between("", ""), "");
  EXPECT_EQ(between("", "[lane]\nring = 1024\n"), "");  // its default
}

TEST(Changes, SayWhatAppliesWhileItRuns) {
  EXPECT_EQ(between("", "[lane]\nring = 2048\n[log]\nlevel = \"debug\"\n"),
            "lane.ring: 1024 -> 2048 (restart)\nlog.level: \"info\" -> \"debug\" (live)\n");
}

TEST(Changes, HoldAPortOrPeerByItsName) {
  EXPECT_EQ(between(port("a"), port("a", "mtu = 1500\n")), "port a.mtu:  -> 1500 (restart)\n");
  EXPECT_EQ(between(port("a"), port("b")),
            "port a.name: \"a\" ->  (restart)\nport a.device: \"ring:a\" ->  (restart)\n"
            "port a.address: \"10.1.0.1/24\" ->  (restart)\n"
            "port a.udp_port: 9470 ->  (restart)\n"
            "port b.name:  -> \"b\" (restart)\nport b.device:  -> \"ring:b\" (restart)\n"
            "port b.address:  -> \"10.1.0.1/24\" (restart)\n"
            "port b.udp_port:  -> 9470 (restart)\n");
  const std::string peer = "[[peer]]\nid = 2\naddress = \"10.1.0.2\"\n";
  EXPECT_EQ(between(port("a") + peer, port("a") + peer + "name = \"x\"\n"),
            "peer 2.name: \"node2\" -> \"x\" (restart)\n");
  const std::string rule = "[[rule]]\nwho = \"user:root\"\nallow = ";
  EXPECT_EQ(between(rule + "[\"publish\"]\n", rule + "[\"subscribe\", \"admin\"]\n"),
            "rule rule1.allow: [\"publish\"] -> [\"subscribe\", \"admin\"] (live)\n");
}

}  // namespace
}  // namespace penstock
