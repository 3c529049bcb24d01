#include "control/cli/show.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/cli/exit.h"

namespace penstock::cli {
namespace {

using nlohmann::json;

const json kLanes = json::parse(R"([
  {"id": 7, "name": "grad", "kind": "lane", "owner": "trainer0", "sent": 100, "closed": "",
   "readers": [
     {"who": "server", "mode": "reliable", "sent": 100, "delivered": 90, "dropped": {},
      "in_flight": 10},
     {"who": "node B", "mode": "lossy", "sent": 60, "delivered": 50,
      "dropped": {"overrun": 4, "evicted": 1, "none": 0}, "in_flight": 4}],
   "left": {"sent": 5, "delivered": 5, "dropped": {}}},
  {"id": 8, "name": "", "kind": "mirror", "owner": "node B", "sent": 3, "closed": "peer down",
   "readers": [], "left": {"sent": 0, "delivered": 0, "dropped": {}}}
])");

constexpr const char* kLanesTable =
    R"(LANE  KIND    OWNER     NAME  READER  MODE      SENT  DELIVERED  DROPPED  IN FLIGHT  IDENTITY  CLOSED     WHY DROPPED
   7  lane    trainer0  grad  server  reliable   100         90        0         10  holds
   7  lane    trainer0  grad  node B  lossy       60         50        5          4  off by 1             evicted 1, overrun 4
   7  lane    trainer0  grad  (left)               5          5        0          0  holds
   8  mirror  node B          -                    3                                           peer down
sent = delivered + dropped + in flight: holds for 2 of 3
)";

TEST(Account, SumsWhatBecameOfAMessage) {
  const Account account = account_of(kLanes[0]["readers"][1]);
  EXPECT_EQ(account.dropped, 5u);
  EXPECT_EQ(account.unaccounted(), 1);
}

TEST(ShowLanes, HasARowForEachReaderAndChecksTheIdentity) {
  EXPECT_EQ(show("lanes", kLanes), kLanesTable);
}

TEST(Show, SaysThatThereIsNothing) {
  EXPECT_EQ(show("lanes", json::array()), "no lanes\n");
  EXPECT_EQ(show("links", json::array()), "no links\n");
  EXPECT_EQ(show("ports", json::array()), "no ports\n");
  EXPECT_EQ(show("clients", json::array()), "no clients\n");
}

TEST(ShowLinks, HasARowForEachPath) {
  EXPECT_EQ(show("links", json::parse(R"([{"peer": "b", "path": 0, "state": "up",
                  "rtt_ns": 12345, "packets_sent": 10, "retransmitted": 2}])")),
            "PEER  PATH  STATE      RTT  PACKETS OUT  RESENT\n"
            "b        0  up     12.3 us           10       2\n");
}

TEST(ShowLinks, HasARowForEachRailBelow) {
  EXPECT_EQ(show("links", json::parse(R"([
                {"peer": "b", "path": 0, "state": "up", "rdma": {"state": "up", "rails": [
                  {"device": "mlx5_0", "state": "up", "bytes_per_second": 12884901888,
                   "messages_sent": 3, "bytes_sent": 2048, "errors": 0},
                  {"device": "mlx5_1", "state": "down", "bytes_per_second": 0,
                   "messages_sent": 1, "bytes_sent": 1024, "errors": 1}]}},
                {"peer": "c", "path": 0, "state": "up"}])")),
            "PEER  PATH  STATE  RDMA\n"
            "b        0  up     up\n"
            "c        0  up\n"
            "\n"
            "PEER  PATH  RAIL  DEVICE  STATE     CARRIES  SENT  BYTES OUT  ERRORS\n"
            "b        0     0  mlx5_0  up     12.0 GiB/s     3   2.00 KiB       0\n"
            "b        0     1  mlx5_1  down                  1   1.00 KiB       1\n");
}

TEST(ShowPorts, TellsWhetherItCopies) {
  EXPECT_EQ(show("ports", json::parse(R"([{"name": "p0", "device": "ring:r", "link_up": true,
                  "zero_copy": false, "tx_linearized": 9}])")),
            "PORT  DEVICE  LINK  TRANSMIT  OUT\n"
            "p0    ring:r  up    copies      9\n");
}

TEST(ShowPorts, TellsWhatAPortWaitsFor) {
  EXPECT_EQ(show("ports", json::parse(R"([
                {"name": "a", "link_up": false, "status": "down: waiting for a peer"},
                {"name": "b", "link_up": true, "status": "up"},
                {"name": "c", "link_up": false, "status": "down"}])")),
            "PORT  LINK  TRANSMIT  STATUS\n"
            "a     down  copies    waiting for a peer\n"
            "b     up    copies\n"
            "c     down  copies\n");
}

TEST(ShowClients, ListsTheirSubscriptions) {
  EXPECT_EQ(show("clients", json::parse(R"([{"id": 1, "name": "t", "pid": 42, "uid": 0,
                  "subscriptions": [{"filter": "a.#", "mode": "broadcast"},
                                    {"filter": "jobs", "mode": "group"}]}])")),
            "CLIENT  NAME  PID  UID  SUBSCRIPTIONS\n"
            "     1  t      42    0  a.#, jobs (group)\n");
  EXPECT_EQ(show("clients", json::parse(R"([{"id": 1, "name": "t", "pid": 42, "uid": 7,
                  "tenant": "acme", "rule": "team"}])")),
            "CLIENT  NAME  PID  UID  TENANT  RULE\n"
            "     1  t      42    7  acme    team\n");
}

TEST(ShowDrops, ListsReasons) {
  EXPECT_EQ(show("drops", json::parse(R"({"overrun": 3, "evicted": 0})")),
            "REASON   DROPPED\n"
            "evicted        0\n"
            "overrun        3\n");
}

TEST(ShowDrops, SaysThatThereAreNone) {
  EXPECT_EQ(show("drops", json::object()), "nothing was dropped\n");
}

TEST(ShowTopology, TellsTheChoiceAndWhy) {
  EXPECT_EQ(show("topology", json::parse(R"({"workers": [{"cpu": 2, "numa_node": 1}],
                  "housekeeping": [0, 1], "reasons": ["the port is there"]})")),
            "worker 0: CPU 2, NUMA node 1\n"
            "everything else: CPUs 0, 1\n"
            "  the port is there\n");
}

TEST(ShowNode, HasALineAndItsWorkers) {
  EXPECT_EQ(show("node", json::parse(R"({"id": 1, "name": "a", "epoch": 3, "version": "0.1.0",
                  "pid": 9, "uptime_ns": 5000000000, "hugepages": true,
                  "workers": [{"id": 0, "idle": "spin", "turns": 5}]})")),
            "node a (id 1), epoch 3, version 0.1.0, pid 9, up 5.00 s, huge pages\n"
            "WORKER  IDLE  TURNS\n"
            "     0  spin      5\n");
}

TEST(Show, RefusesAnswersThatMakeNoSense) {
  for (const char* nonsense : {R"(["a"])", "[1]", R"([{"id": "x", "readers": 5}])", "3",
                               R"([{"readers": [{"dropped": {"overrun": "many"}}]}])"}) {
    EXPECT_THROW(static_cast<void>(show("lanes", json::parse(nonsense))), Failure) << nonsense;
  }
  EXPECT_THROW(static_cast<void>(show("drops", json::parse(R"({"a": []})"))), Failure);
}

}  // namespace
}  // namespace penstock::cli
