// The commands over the API, against a node that is made up.
#include "control/cli/steer.h"

#include <deque>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <sstream>
#include <unistd.h>
#include <variant>

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
  // What it says from the next call on, one after the other.
  std::deque<std::variant<std::string, ApiError>> then = {};
  std::vector<json> requests = {};
};

class Client final : public ApiClient {
 public:
  explicit Client(Node& node) : node_(node) {}
  ApiAnswer call(const std::string& name, const std::string& request,
                 std::chrono::milliseconds limit) override {
    node_.call = name;
    node_.request = json::parse(request);
    node_.limit = limit;
    node_.requests.push_back(node_.request);
    if (!node_.then.empty()) {
      const auto next = node_.then.front();
      node_.then.pop_front();
      if (const auto* error = std::get_if<ApiError>(&next)) return tl::unexpected(*error);
      return std::get<std::string>(next);
    }
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
       "limit_messages":9,"limit_bytes":2048,"block_ns":5000000000,"pending":true,"lanes":2,
       "path":"prefer","by_rdma":7,"by_rdma_bytes":70000,"by_frames":30,"by_frames_bytes":40000,
       "copied":1,"copied_bytes":20000},
      {"from":"node","id":2,"name":"b","filter":"jobs","mode":"group","policy":"block",
       "limit_messages":0,"limit_bytes":0,"block_ns":0,"pending":false,"lanes":0,"path":"any",
       "by_rdma":0,"by_rdma_bytes":0,"by_frames":0,"by_frames_bytes":0,"copied":0,
       "copied_bytes":0}]})";
  EXPECT_EQ(
      ran(node, {"subscriptions"}).out,
      "FILTER  MODE       POLICY  PATH    FROM    ID  NAME  LANES  MESSAGES     BYTES  BLOCKS "
      "FOR  BY RDMA  BY FRAMES  COPIED  STATE\n"
      "a.#     broadcast  block   prefer  client   3  t         2         9  2.00 KiB      "
      "5.00 s        7         30       1  pending\n"
      "jobs    group      block   any     node     2  b\n");
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
  const Ran endless = ran(node, {"config", "diff", "/dev/zero"});
  EXPECT_EQ(endless.code, 1);
  EXPECT_EQ(endless.err,
            "penstock: /dev/zero: is larger than 1 MiB, the most that a node reads: is it the "
            "config file?\n");
  node.answer = R"({"faults":[],"changes":[]})";
  EXPECT_EQ(ran(node, {"config", "diff"}).out, "nothing differs\n");
}

TEST(SteerConfig, ShowsWhatRunsWhenNoFileIsNamed) {
  Node node;
  node.answer = R"({"file":"/c.toml","toml":"[node]\nid = 1\n"})";
  EXPECT_EQ(ran(node, {"config", "show"}).out, "[node]\nid = 1\n");
  EXPECT_EQ(node.call, "GetConfig");
}

const std::string kGood =
    R"({"healthy":true,"checks":[{"name":"ports","good":true,"text":"1 of 1 up"}]})";
const std::string kBad =
    R"({"healthy":false,"checks":[{"name":"ports","good":false,"text":"0 of 1 up"}]})";

TEST(SteerHealth, IsOneForANodeThatIsNot) {
  Node node;
  node.answer = kGood;
  Ran r = ran(node, {"health"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(r.out, "CHECK  STATE  WHY\nports  good   1 of 1 up\nhealthy\n");
  node.answer = kBad;
  r = ran(node, {"health"});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(r.out, "CHECK  STATE  WHY\nports  bad    0 of 1 up\nnot healthy\n");
  node.error = {ApiFault::kGone, "nobody"};
  EXPECT_EQ(ran(node, {"health"}).code, 3);
}

TEST(SteerHealth, WaitsUntilItIsOrTimeIsUp) {
  Node node;
  node.answer = kGood;
  node.then = {ApiError{ApiFault::kGone, "nobody"}, ApiError{ApiFault::kTimeout, "hangs"}, kBad};
  EXPECT_EQ(ran(node, {"health", "--exit-when-healthy", "--timeout", "1min"}).code, 0);
  EXPECT_EQ(node.requests.size(), 4u);
  node.answer = kBad;
  EXPECT_EQ(ran(node, {"health", "--exit-when-healthy", "--timeout", "1ms"}).code, 4);
  node.error = {ApiFault::kGone, "nobody"};
  const Ran gone = ran(node, {"health", "--exit-when-healthy", "--timeout", "1ms"});
  EXPECT_EQ(gone.code, 4);
  EXPECT_EQ(gone.err, "penstock: nobody\n");
  node.error = {ApiFault::kUnknown, "older"};  // will not become better
  EXPECT_EQ(ran(node, {"health", "--exit-when-healthy", "--timeout", "1min"}).code, 1);
}

// As the tables: it goes on whatever it shows, and ends with the node.
TEST(SteerHealth, IsWatchedAsTablesAre) {
  Node node;
  node.then = {kBad, kGood};
  node.error = {ApiFault::kGone, "nobody"};
  const Ran r = ran(node, {"health", "--watch", "--json"});
  EXPECT_EQ(r.code, 3);
  EXPECT_EQ(r.err, "penstock: nobody\n");
  const auto end = r.out.find('\n');
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(json::parse(r.out.substr(0, end)), json::parse(kBad));
  EXPECT_EQ(json::parse(r.out.substr(end)), json::parse(kGood));
  node.then = {kBad};
  EXPECT_EQ(ran(node, {"health", "-w"}).out,
            "CHECK  STATE  WHY\nports  bad    0 of 1 up\nnot healthy\n");
  EXPECT_EQ(ran(node, {"health", "--watch", "--exit-when-healthy"}).code, 2);
}

std::string event(uint64_t number, const std::string& text) {
  return R"({"number":)" + std::to_string(number) +
         R"(,"unix_ns":5000000,"name":"link_down","change":"raised","severity":"warning",)" +
         R"("subject":"node 2 path 0","text":")" + text + R"(","suppressed":)" +
         std::to_string(number - 1) + "}";
}

TEST(SteerEvents, AreALineEachToTheLast) {
  Node node;
  node.then = {
      R"({"epoch":1,"next":3,"events":[)" + event(1, "a\\u001b") + "," + event(2, "b") + "]}",
      R"({"epoch":1,"next":4,"events":[)" + event(3, "c") + "]}",
      R"({"epoch":1,"next":4,"events":[]})"};
  const Ran r = ran(node, {"events"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(std::ranges::count(r.out, '\n'), 3);
  EXPECT_NE(r.out.find(".005 warning link_down raised node 2 path 0: a?\n"), std::string::npos)
      << r.out;
  EXPECT_NE(r.out.find("node 2 path 0: b (1 like it were not told)\n"), std::string::npos) << r.out;
  EXPECT_EQ(node.requests, (std::vector<json>{json::object(), {{"from", 3}}, {{"from", 4}}}));
}

TEST(SteerEvents, ThatAreForgottenAreCountedAndANewLifeBeginsAnew) {
  Node node;
  node.then = {R"({"epoch":1,"next":2,"events":[)" + event(1, "a") + "]}",
               R"({"epoch":1,"next":9,"events":[)" + event(8, "b") + "]}",
               R"({"epoch":2,"next":9,"events":[]})",
               R"({"epoch":2,"next":2,"events":[)" + event(1, "c") + "]}",
               R"({"epoch":2,"next":2,"events":[]})"};
  node.error = {ApiFault::kGone, "nobody"};
  const Ran r = ran(node, {"events", "--follow", "--json"});
  EXPECT_EQ(r.code, 3);
  EXPECT_EQ(r.err,
            "penstock: 6 events are forgotten\npenstock: the node was started anew\n"
            "penstock: nobody\n");
  EXPECT_EQ(std::ranges::count(r.out, '\n'), 3);
  EXPECT_EQ(json::parse(r.out.substr(0, r.out.find('\n')))["text"], "a");
}

TEST(SteerEvents, RaisedAreATable) {
  Node node;
  node.answer = R"({"epoch":1,"next":2,"events":[],"raised":[)" + event(1, "a") + "]}";
  const Ran r = ran(node, {"events", "--raised"});
  EXPECT_EQ(r.code, 0);
  EXPECT_NE(r.out.find("warning   link_down  node 2 path 0  a\n"), std::string::npos) << r.out;
  node.answer = R"({"raised":[]})";
  EXPECT_EQ(ran(node, {"events", "--raised"}).out, "nothing is raised\n");
  EXPECT_EQ(ran(node, {"events", "--raised", "--follow"}).code, 2);
}

TEST(SteerDrain, OfANodeElsewhereReturnsWhenItsApiIsGone) {
  Node node;
  node.then = {R"({"timeout_ns":1000000})", R"({"id":1})", ApiError{ApiFault::kGone, "nobody"}};
  const Ran r = ran(node, {"drain", "--timeout", "1ms"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out, "the node stops; what was not delivered, if anything, stands in its log\n");
  EXPECT_EQ(node.requests[0], json({{"timeout_ns", 1'000'000}}));
  node.then = {ApiError{ApiFault::kRefused, "no"}};
  EXPECT_EQ(ran(node, {"drain"}).code, 1);
}

TEST(SteerMembers, RemoveNamesTheEpoch) {
  Node node;
  node.answer = R"({"id":7,"epoch":3})";
  const Ran r = ran(node, {"members", "remove", "7"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(node.call, "RemoveMember");
  EXPECT_EQ(node.request, json({{"id", 7}}));
  EXPECT_EQ(r.out, "node 7 is removed, in epoch 3 and before: every node drops its links to it\n");
  EXPECT_EQ(ran(node, {"members", "remove"}).code, 2);
  EXPECT_EQ(ran(node, {"members", "remove", "x"}).code, 2);
}

}  // namespace
}  // namespace penstock::cli
