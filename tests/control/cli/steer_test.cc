// The commands over the API, against a node that is made up.
#include "control/cli/steer.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <sstream>
#include <unistd.h>

#include "control/cli/cli.h"

namespace penstock::cli {
namespace {

using nlohmann::json;

// What was asked, and what is answered.
struct Node {
  ApiTarget target;
  std::string call;
  json request;
  std::chrono::milliseconds limit{};
  std::string answer = "{}";
  std::optional<ApiError> error;  // instead
};

class Client final : public ApiClient {
 public:
  explicit Client(Node& node) : node_(node) {}
  ApiAnswer call(const std::string& name, const std::string& request,
                 std::chrono::milliseconds limit) override {
    node_.call = name;
    node_.request = json::parse(request);
    node_.limit = limit;
    if (node_.error) return tl::unexpected(*node_.error);
    return node_.answer;
  }

 private:
  Node& node_;
};

struct Ran {
  int code;
  std::string out, err;
};

Ran ran(Node& node, const std::vector<std::string>& arguments) {
  std::istringstream in;
  std::ostringstream out, err;
  const auto open =
      [&](const ApiTarget& target) -> tl::expected<std::unique_ptr<ApiClient>, ApiError> {
    node.target = target;
    return std::make_unique<Client>(node);
  };
  const int code = run(arguments, {in, out, err}, open);
  return {code, out.str(), err.str()};
}

TEST(Steer, FindsTheApiBesideTheSocket) {
  Node node;
  EXPECT_EQ(ran(node, {"lanes"}).code, 0);
  EXPECT_EQ(node.target.address, "/run/penstock/penstock.sock.api");
  EXPECT_EQ(ran(node, {"--socket", "/a.sock", "lanes"}).code, 0);
  EXPECT_EQ(node.target.address, "/a.sock.api");
  EXPECT_EQ(
      ran(node, {"lanes", "--api", "h:1", "--ca", "a", "--certificate", "b", "--key", "c"}).code,
      0);
  EXPECT_EQ(node.target.address, "h:1");
  EXPECT_TRUE(node.target.tcp());
  EXPECT_EQ(node.target.ca + node.target.certificate + node.target.key, "abc");
}

TEST(Steer, WaitsAsLongAsItIsTold) {
  Node node;
  ran(node, {"nodes"});
  EXPECT_EQ(node.limit.count(), 5000);
  ran(node, {"nodes", "--timeout", "100us"});
  EXPECT_EQ(node.limit.count(), 1);
  EXPECT_EQ(ran(node, {"nodes", "--timeout", "0s"}).code, 2);
  EXPECT_EQ(ran(node, {"nodes", "--timeout", "2h"}).code, 2);
}

TEST(Steer, EndsWithTheCodeOfWhatWentWrong) {
  const std::pair<ApiFault, int> codes[] = {{ApiFault::kInvalid, 2}, {ApiFault::kRefused, 1},
                                            {ApiFault::kTimeout, 4}, {ApiFault::kBusy, 1},
                                            {ApiFault::kGone, 3},    {ApiFault::kUnknown, 1}};
  for (const auto& [fault, code] : codes) {
    Node node;
    node.error = {fault, "because"};
    const Ran r = ran(node, {"nodes"});
    EXPECT_EQ(r.code, code);
    EXPECT_EQ(r.err, "penstock: because\n");
  }
  Node node;
  node.answer = "[]";
  EXPECT_EQ(ran(node, {"nodes"}).code, 1);
  node.answer = R"({"nodes":5})";
  EXPECT_EQ(ran(node, {"nodes"}).code, 1);
}

TEST(Steer, PrintsTheAnswerAsJson) {
  Node node;
  node.answer = R"({"topics":[{"topic":"a","lanes":[18446744073709551615]}],"more":false})";
  const Ran r = ran(node, {"topics", "--json"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(json::parse(r.out), json::parse(node.answer));
}

TEST(SteerTopics, AsksForWhatIsNamed) {
  Node node;
  ran(node, {"topics"});
  EXPECT_EQ(node.call, "ListTopics");
  EXPECT_EQ(node.request, json::object());
  ran(node, {"topics", "a.#", "--limit", "7"});
  EXPECT_EQ(node.request, json({{"filter", "a.#"}, {"limit", 7}}));
  ran(node, {"subscriptions", "a.b"});
  EXPECT_EQ(node.call, "ListSubscriptions");
  EXPECT_EQ(node.request, json({{"topic", "a.b"}}));
}

TEST(SteerTopics, SaysThatThereAreMore) {
  Node node;
  node.answer = R"({"topics":[{"topic":"grad.w","publishers":["t0","node b"],"lanes":[1,4],
      "subscriptions":2,"groups":0,"nodes":1}],"more":true})";
  EXPECT_EQ(ran(node, {"topics"}).out,
            "TOPIC   PUBLISHERS  LANES  SUBSCRIPTIONS  GROUPS  NODES\n"
            "grad.w  t0, node b      2              2       0      1\n"
            "there are more: name what you look for, or give --limit\n");
  node.answer = R"({"topics":[],"more":false})";
  EXPECT_EQ(ran(node, {"topics"}).out, "no topics\n");
}

TEST(SteerSubscriptions, TellWhoWantsWhatAndHow) {
  Node node;
  node.answer = R"({"subscriptions":[
      {"from":"client","id":3,"name":"t","filter":"a.#","mode":"broadcast","policy":"block",
       "limit_messages":9,"limit_bytes":2048,"block_ns":5000000000,"pending":true,"lanes":2},
      {"from":"node","id":2,"name":"b","filter":"jobs","mode":"group","policy":"block",
       "limit_messages":0,"limit_bytes":0,"block_ns":0,"pending":false,"lanes":0}]})";
  EXPECT_EQ(ran(node, {"subscriptions"}).out,
            "FILTER  MODE       POLICY  FROM    ID  NAME  LANES  MESSAGES     BYTES  BLOCKS FOR  "
            "STATE\n"
            "a.#     broadcast  block   client   3  t         2         9  2.00 KiB      5.00 s  "
            "pending\n"
            "jobs    group      block   node     2  b\n");
}

TEST(SteerNodes, HaveARowEach) {
  Node node;
  node.answer = R"({"nodes":[
      {"id":1,"name":"a","epoch":3,"version":"0.1.0","addresses":["10.0.0.1:9470"],
       "source":"self","state":"self","links":0,"links_up":0},
      {"id":2,"name":"b","epoch":0,"version":"","addresses":["10.0.0.2:9470","[fd::2]:9470"],
       "source":"store","state":"up","links":2,"links_up":1}]})";
  EXPECT_EQ(ran(node, {"nodes"}).out,
            "NODE  NAME  EPOCH  STATE  LINKS UP  ADDRESSES                    KNOWN FROM  VERSION\n"
            "   1  a         3  self             10.0.0.1:9470                self        0.1.0\n"
            "   2  b            up       1 of 2  10.0.0.2:9470, [fd::2]:9470  store\n");
}

TEST(SteerMembers, SayHowTheStoreIs) {
  Node node;
  node.answer = R"({"store":"none","trouble":"","members":[]})";
  EXPECT_EQ(ran(node, {"members"}).out, "no store: nodes are those in [[peer]] (store.kind)\n");
  node.answer = R"({"store":"sqlite","trouble":"","members":[{"id":1,"name":"a","epoch":2,
      "version":"0.1.0","ports":["10.0.0.1:9470"],"self":true}]})";
  EXPECT_EQ(ran(node, {"members"}).out,
            "store sqlite: heard\n"
            "NODE  NAME  EPOCH  PORTS          VERSION\n"
            "   1  a         2  10.0.0.1:9470  0.1.0    this node\n");
  node.answer = R"({"store":"etcd","trouble":"does not answer","members":[]})";
  EXPECT_EQ(ran(node, {"members"}).out, "store etcd: does not answer\n");
}

TEST(SteerLanes, AreThoseOfShow) {
  Node node;
  node.answer = R"({"lanes":[]})";
  EXPECT_EQ(ran(node, {"lanes"}).out, "no lanes\n");
  node.answer = R"({"links":[{"peer":"b","path":0,"state":"up"}]})";
  EXPECT_EQ(ran(node, {"links"}).out, "PEER  PATH  STATE\nb        0  up\n");
  node.answer = R"({"clients":[{"id":1,"name":"t"}]})";
  EXPECT_EQ(ran(node, {"clients"}).out, "CLIENT  NAME\n     1  t\n");
}

TEST(SteerReload, SaysWhatAppliesAndWhatWaits) {
  Node node;
  node.answer = R"({"file":"/c.toml","applied":true,"faults":[],"changes":[
      {"key":"lane.ring","running":"1024","file":"2048","live":false},
      {"key":"log.level","running":"\"info\"","file":"","live":true}]})";
  const Ran r = ran(node, {"reload"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(node.call, "ReloadConfig");
  EXPECT_EQ(r.out,
            "/c.toml: read again\n"
            "OPTION     RUNS    FILE  APPLIES\n"
            "lane.ring  1024    2048  at a restart\n"
            "log.level  \"info\"  -     now\n");
}

TEST(SteerReload, FailsWithEveryFaultOfTheFile) {
  Node node;
  node.answer = R"({"file":"/c.toml","applied":false,"changes":[],"faults":[
      {"file":"/c.toml","line":4,"key":"lane.rnig","message":"unknown key"}]})";
  const Ran r = ran(node, {"reload"});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(r.err,
            "/c.toml:4: lane.rnig: unknown key\npenstock: the node's config stays as it was\n");
  EXPECT_EQ(ran(node, {"reload", "--json"}).code, 1);
}

TEST(SteerConfig, ComparesAFileWithWhatRuns) {
  Node node;
  node.answer = R"({"file":"/c.toml","applied":false,"faults":[],"changes":[
      {"key":"log.level","running":"\"info\"","file":"\"debug\"","live":true}]})";
  EXPECT_EQ(ran(node, {"config", "diff"}).out,
            "OPTION     RUNS    FILE     APPLIES\n"
            "log.level  \"info\"  \"debug\"  at a reload\n");
  EXPECT_EQ(node.request, json::object());
  const std::string path = std::filesystem::temp_directory_path() /
                           ("penstock_steer_test." + std::to_string(getpid()) + ".toml");
  std::ofstream(path) << "[node]\n";
  ran(node, {"config", "diff", path});
  std::filesystem::remove(path);
  EXPECT_EQ(node.request, json({{"file", path}, {"toml", "[node]\n"}}));
  const Ran absent = ran(node, {"config", "diff", "/nonexistent/c.toml"});
  EXPECT_EQ(absent.code, 1);
  EXPECT_EQ(absent.err, "penstock: /nonexistent/c.toml: No such file or directory\n");
  node.answer = R"({"faults":[],"changes":[]})";
  EXPECT_EQ(ran(node, {"config", "diff"}).out, "nothing differs\n");
}

TEST(SteerConfig, ShowsWhatRunsWhenNoFileIsNamed) {
  Node node;
  node.answer = R"({"file":"/c.toml","toml":"[node]\nid = 1\n"})";
  EXPECT_EQ(ran(node, {"config", "show"}).out, "[node]\nid = 1\n");
  EXPECT_EQ(node.call, "GetConfig");
}

}  // namespace
}  // namespace penstock::cli
